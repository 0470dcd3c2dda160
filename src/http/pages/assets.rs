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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Least contrast of what is no text with its ground: WCAG 2.2, 1.4.11.
    const CONTRAST_MIN: f64 = 3.0;

    /// The colours of the stylesheet by their names, on light pages or on dark ones.
    fn palette(is_dark: bool) -> BTreeMap<&'static str, [f64; 3]> {
        let (light, dark) = STYLE.text.split_once("@media (prefers-color-scheme: dark)").unwrap();
        let part = if is_dark { dark } else { light };
        let told = part.split([';', '{', '}']).filter_map(|line| line.trim().strip_prefix("--")?.split_once(": #"));
        told.map(|(name, colour)| (name, parts(colour))).collect()
    }

    /// Red, green and blue of `0969da` or `fff`, from 0 to 1.
    fn parts(colour: &str) -> [f64; 3] {
        let digits = colour.len() / 3;
        [0, 1, 2].map(|part| {
            let digits = &colour[part * digits..(part + 1) * digits];
            f64::from(u8::from_str_radix(&digits.repeat(2 / digits.len()), 16).unwrap()) / 255.0
        })
    }

    /// The relative luminance of WCAG.
    fn luminance(colour: [f64; 3]) -> f64 {
        let linear = |part: f64| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) };
        let [red, green, blue] = colour.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn bars_and_dots_stand_out_from_their_ground_on_light_pages_and_on_dark_ones() {
        assert!((contrast(parts("fff"), parts("000000")) - 21.0).abs() < 1e-9, "black on white");
        let dots = ["claimed", "in_progress", "pr_submitted", "pr_merged", "closed", "stale", "soft"];
        let bars = (0..8).map(|nth| format!("c{nth}"));
        let shapes: Vec<String> = bars.chain(dots.map(str::to_owned)).collect();
        for is_dark in [false, true] {
            let palette = palette(is_dark);
            for (shape, ground) in shapes.iter().flat_map(|shape| [(shape, "paper"), (shape, "card")]) {
                let contrast = contrast(palette[shape.as_str()], palette[ground]);
                assert!(contrast >= CONTRAST_MIN, "{shape} on {ground}, dark {is_dark}: {contrast:.2}");
            }
        }
        assert!(!STYLE.text.contains("fill: #"), "a colour without a name is judged by nobody");
    }
}
