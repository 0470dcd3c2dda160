//! Where the next page is: the `Link` header, whose address is believed only on the API's own host.

use http::Uri;

/// The path and query of the `rel="next"` link, if there is one.
///
/// # Errors
/// Why the link is not followed: it leads to another host, which would be sent the token.
pub(super) fn next_path(link: &str, root: &Uri) -> Result<Option<String>, String> {
    let Some(address) = next_address(link) else { return Ok(None) };
    let uri: Uri = address.parse().map_err(|_| "the link to its next page is no address".to_owned())?;
    if uri.host().is_some() && !same_origin(&uri, root) {
        return Err(format!("its next page is on another host ({}), which must not get the token", shown_host(&uri)));
    }
    Ok(uri.path_and_query().map(|path| path.as_str().to_owned()))
}

fn next_address(link: &str) -> Option<&str> {
    let mut rest = link;
    while let Some((_, after)) = rest.split_once('<') {
        let (address, after) = after.split_once('>')?;
        // An address may hold commas; its parameters end where the next address begins.
        let (parameters, _) = after.split_once('<').unwrap_or((after, ""));
        if parameters.split([';', ',']).any(|p| matches!(p.trim(), "rel=\"next\"" | "rel=next")) {
            return Some(address);
        }
        rest = after;
    }
    None
}

fn same_origin(a: &Uri, b: &Uri) -> bool {
    let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
    a.scheme() == b.scheme() && host(a) == host(b) && port(a) == port(b)
}

fn port(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 })
}

fn shown_host(uri: &Uri) -> String {
    uri.authority().map_or_else(String::new, |authority| format!("{}:{}", authority.host(), port(uri)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(link: &str) -> Result<Option<String>, String> {
        next_path(link, &Uri::from_static("https://api.github.com"))
    }

    #[test]
    fn the_next_page_is_found_among_other_links() {
        let link = "<https://api.github.com/x?labels=a,b&page=1>; rel=\"prev\", \
                    <https://API.github.com:443/repositories/7/issues?after=a%3D,b&page=3>; rel=\"next\", \
                    <https://api.github.com/x?page=9>; rel=\"last\"";
        assert_eq!(next(link).unwrap().unwrap(), "/repositories/7/issues?after=a%3D,b&page=3");
    }

    #[test]
    fn without_a_next_link_the_walk_ends() {
        for link in ["", "<https://api.github.com/x?page=1>; rel=\"first\"", "<broken", "rel=\"next\""] {
            assert_eq!(next(link).unwrap(), None, "{link}");
        }
    }

    #[test]
    fn a_next_page_on_another_host_is_refused() {
        for address in [
            "https://evil.example/x",
            "http://api.github.com/x",
            "https://api.github.com:8443/x",
            "https://api.github.com@evil.example/x",
            "https://api.github.com.evil.example/x",
        ] {
            assert!(next(&format!("<{address}>; rel=\"next\"")).is_err(), "{address}");
        }
    }
}
