//! A person's session in a browser: a cookie that says whose credential was shown and until when that holds, sealed with
//! the credential. The server keeps nothing of it: it holds at every server of a database and over restarts, and ends
//! with its time, with the token, and with the server's key. Logging out takes it from the browser; a copy of it that
//! somebody made before lasts as long as it does.

use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HOST};
use chrono::{DateTime, TimeDelta};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::state::HttpState;
use crate::api::{Identity, Principal};
use crate::domain::TokenId;

/// What the cookie's name begins with.
const NAME: &str = "issuecommand_session";
/// How long a session lasts: a working day with its breaks. Ours.
const LENGTH: TimeDelta = TimeDelta::hours(12);
/// Who a session is of that was begun with the server's key; all others are of a token, by its id.
const OF_KEY: &str = "key";

/// The cookie that begins a session of `identity`, or `None` where nobody has a credential.
pub(super) fn begun(state: &HttpState, identity: &Identity, headers: &HeaderMap, is_https: bool) -> Option<String> {
    let who = match identity.principal {
        Principal::Key => OF_KEY.to_owned(),
        Principal::Token(token_id) => token_id.to_string(),
        Principal::Local => return None,
    };
    let ends = (state.clock.now() + LENGTH).timestamp();
    let sealed = hex::encode(sealing(state, &who, ends)?.finalize().into_bytes());
    Some(cookie(headers, &format!("{who}.{ends}.{sealed}"), LENGTH.num_seconds(), is_https))
}

/// The cookie that ends a session.
pub(super) fn ended(headers: &HeaderMap, is_https: bool) -> String {
    cookie(headers, "", 0, is_https)
}

/// No script can read it, and no other site can have it sent.
fn cookie(headers: &HeaderMap, value: &str, seconds: i64, is_https: bool) -> String {
    let (name, secure) = (name(headers), if is_https { "; Secure" } else { "" });
    format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

/// Whose session a request is part of.
pub(super) fn identity(state: &HttpState, headers: &HeaderMap) -> Option<Identity> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let name = name(headers);
    let mut ours = cookies.flat_map(|cookies| of_name(cookies, &name));
    ours.find_map(|value| opened(state, value))
}

/// The cookie's name at the port that the browser asks: cookies know no ports, and servers of one machine, each at its
/// own, would log each other out.
fn name(headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    match host.rsplit_once(':') {
        Some((_, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{NAME}_{port}")
        }
        _ => NAME.to_owned(),
    }
}

fn opened(state: &HttpState, value: &str) -> Option<Identity> {
    let mut parts = value.splitn(3, '.');
    let (who, ends, seal) = (parts.next()?, parts.next()?.parse::<i64>().ok()?, hex::decode(parts.next()?).ok()?);
    sealing(state, who, ends)?.verify_slice(&seal).ok()?;
    let (now, until) = (state.clock.now(), DateTime::from_timestamp_secs(ends)?);
    if now >= until {
        return None;
    }
    let identity = match who {
        OF_KEY => Identity::of_key(),
        token => Identity::with(state.api.manager().kept_token(token.parse().ok()?)?.token, now).ok()?,
    };
    Some(Identity { until: Some(until), ..identity })
}

fn of_name<'c>(cookies: &'c str, name: &str) -> impl Iterator<Item = &'c str> {
    cookies.split(';').filter_map(move |cookie| cookie.trim().strip_prefix(name)?.strip_prefix('='))
}

/// What seals a session: nobody can make one who has not the credential itself, be it that they read the database, where
/// the hashes of tokens are, as long as the server has a key. `None` when there is no such credential.
fn sealing(state: &HttpState, who: &str, ends: i64) -> Option<Hmac<Sha256>> {
    let key = &state.server.api_key;
    let of_token = match who {
        OF_KEY if key.is_empty() => return None,
        OF_KEY => String::new(),
        token => state.api.manager().kept_token(token.parse::<TokenId>().ok()?)?.hash.as_str().to_owned(),
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()).expect("HMAC takes keys of any length");
    mac.update(format!("session {who} {ends} {of_token}").as_bytes());
    Some(mac)
}
