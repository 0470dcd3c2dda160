//! What pages load: style, script and mark, all from this binary. Their addresses change with what they hold, so that a
//! browser never keeps an old one.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// Bytes of a digest that tell a version from others.
const VERSION_BYTE_COUNT: usize = 6;

/// One file.
pub(super) struct Asset {
    name: &'static str,
    media_type: &'static str,
    text: &'static str,
    address: LazyLock<String>,
}

pub(super) static STYLE: Asset = Asset {
    name: "style.css",
    media_type: "text/css; charset=utf-8",
    text: include_str!("assets/style.css"),
    address: LazyLock::new(|| STYLE.versioned()),
};
pub(super) static LIVE_SCRIPT: Asset = Asset {
    name: "live.js",
    media_type: "text/javascript; charset=utf-8",
    text: include_str!("assets/live.js"),
    address: LazyLock::new(|| LIVE_SCRIPT.versioned()),
};
pub(super) static MARK: Asset = Asset {
    name: "mark.svg",
    media_type: "image/svg+xml",
    text: include_str!("assets/mark.svg"),
    address: LazyLock::new(|| MARK.versioned()),
};

impl Asset {
    /// Where it is.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    fn versioned(&self) -> String {
        let digest = Sha256::digest(self.text.as_bytes());
        format!("/assets/{}?v={}", self.name, hex::encode(&digest[..VERSION_BYTE_COUNT]))
    }
}

/// Gives a file to anybody: they tell nothing of what is kept here.
pub(super) async fn give(Path(name): Path<String>) -> Response {
    let Some(asset) = [&STYLE, &LIVE_SCRIPT, &MARK].into_iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (CONTENT_TYPE, asset.media_type),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (axum::http::header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, asset.text).into_response()
}
