//! Access to the pages: accepted host names, the token, and the security headers.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use chronon_run_process::is_peer_of;

/// A secret of this start of the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// If the system has no random bytes.
    pub fn new() -> Result<Self, getrandom::Error> {
        let mut bytes = [0_u8; 20];
        getrandom::fill(&mut bytes)?;
        Ok(Self(
            bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        ))
    }

    /// The text, to be shown once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Compares in a time that does not depend on where the two differ.
    fn is(&self, given: &str) -> bool {
        let same_length = given.len() == self.0.len();
        let bytes = self.0.bytes().zip(given.bytes());
        bytes.fold(u8::from(!same_length), |all, (a, b)| all | (a ^ b)) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What is asked of every request.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// Names of this machine, besides `localhost` and addresses, under which the server answers.
    pub names: Vec<String>,
    /// Without it or its cookie nothing is shown.
    pub token: Option<Token>,
    /// The users of this machine whose connections are answered; all, if empty.
    pub users: Vec<u32>,
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    /// The token was right: the browser gets a cookie and the same page without the token.
    Welcome(String),
    Refused(StatusCode, &'static str),
}

impl Guard {
    /// The name of the cookie. A browser sends cookies to every port of a host, so the port is part of it.
    fn cookie(host: &str) -> String {
        let port = host.rsplit_once(':').map_or("", |(_, port)| port);
        let plain = port.bytes().all(|byte| byte.is_ascii_digit());
        format!("chronon-run-{}", if plain { port } else { "" })
    }

    /// Whether the user at the other end of a connection may ask: any process of this machine reaches a port of
    /// the loopback interface.
    pub(crate) fn judge_user(&self, ends: Option<(SocketAddr, SocketAddr)>) -> Verdict {
        let is_known = |(own, other)| is_peer_of(own, other, &self.users);
        match self.users.is_empty() || ends.is_some_and(is_known) {
            true => Verdict::Pass,
            false => Verdict::Refused(
                StatusCode::FORBIDDEN,
                "another user of this machine has started this server: start one of your own, or ask for one with a token (`--host`)",
            ),
        }
    }

    pub(crate) fn judge(&self, method: &Method, headers: &HeaderMap, query: &str) -> Verdict {
        let host = text(headers, &header::HOST);
        // A page of another site that names this address by its own name (DNS rebinding) sends that name.
        if !self.is_own(host) {
            return Verdict::Refused(
                StatusCode::MISDIRECTED_REQUEST,
                "this name is not one of this server: open it as localhost or by its address",
            );
        }
        let origin = headers
            .get(header::ORIGIN)
            .map(|value| value.to_str().unwrap_or("?"));
        let own = |origin: &str| {
            let (scheme, rest) = origin.split_once("://").unwrap_or_default();
            matches!(scheme, "http" | "https") && rest.eq_ignore_ascii_case(host)
        };
        let reads = method == Method::GET || method == Method::HEAD;
        match origin {
            Some(origin) if !own(origin) => {
                return Verdict::Refused(
                    StatusCode::FORBIDDEN,
                    "a page of another site asked for this",
                );
            }
            None if !reads => {
                return Verdict::Refused(StatusCode::FORBIDDEN, "a change needs the header Origin");
            }
            _ => {}
        }
        self.judge_token(headers, host, query)
    }

    fn judge_token(&self, headers: &HeaderMap, host: &str, query: &str) -> Verdict {
        let Some(token) = &self.token else {
            return Verdict::Pass;
        };
        let name = Self::cookie(host);
        let given = query
            .split('&')
            .find_map(|part| part.strip_prefix("token="));
        if given.is_some_and(|given| token.is(given)) {
            return Verdict::Welcome(format!(
                "{name}={}; Path=/; HttpOnly; SameSite=Strict",
                token.reveal()
            ));
        }
        let cookies = headers.get_all(header::COOKIE).iter();
        let mut cookies = cookies.flat_map(|value| value.to_str().unwrap_or("").split(';'));
        let known = cookies.any(|cookie| {
            cookie
                .trim()
                .split_once('=')
                .is_some_and(|(key, value)| key == name && token.is(value))
        });
        match known {
            true => Verdict::Pass,
            false => Verdict::Refused(
                StatusCode::UNAUTHORIZED,
                "open the address that `chronon-run ui` printed: it holds a token",
            ),
        }
    }

    /// Whether the server answers under this `Host`. An address cannot be rebound, a name can.
    fn is_own(&self, host: &str) -> bool {
        let name = without_port(host);
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let known = |own: &String| own.eq_ignore_ascii_case(name);
        name.eq_ignore_ascii_case("localhost")
            || bare.parse::<IpAddr>().is_ok()
            || self.names.iter().any(known)
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit())
                && !name.is_empty()
                && (name.ends_with(']') || !name.contains(':')) =>
        {
            name
        }
        _ => host,
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> &'h str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
}

/// What every answer tells the browser.
pub(crate) const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(guard: &Guard, method: &Method, headers: &[(&str, &str)], query: &str) -> Verdict {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        guard.judge(method, &map, query)
    }

    fn status(verdict: Verdict) -> u16 {
        match verdict {
            Verdict::Refused(status, _) => status.as_u16(),
            _ => 200,
        }
    }

    #[test]
    fn only_own_names_and_addresses_are_answered() {
        let guard = Guard {
            names: vec!["box.lan".to_owned()],
            token: None,
            ..Guard::default()
        };
        let of = |host: &str| status(judged(&guard, &Method::GET, &[("host", host)], ""));
        for own in [
            "localhost:80",
            "LOCALHOST",
            "127.0.0.1:8747",
            "[::1]:8747",
            "[::1]",
            "box.lan:1",
            "192.168.1.4",
        ] {
            assert_eq!(of(own), 200, "{own}");
        }
        for other in [
            "evil.example",
            "evil.example:8747",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
        ] {
            assert_eq!(of(other), 421, "{other}");
        }
        assert_eq!(status(judged(&guard, &Method::GET, &[], "")), 421);
    }

    #[test]
    fn pages_of_other_sites_are_refused_and_changes_need_an_origin() {
        let guard = Guard::default();
        let of = |method: &Method, origin: Option<&str>| {
            let mut headers = vec![("host", "localhost:1")];
            headers.extend(origin.map(|origin| ("origin", origin)));
            status(judged(&guard, method, &headers, ""))
        };
        assert_eq!(of(&Method::GET, None), 200);
        assert_eq!(of(&Method::POST, Some("http://localhost:1")), 200);
        for other in [
            "http://evil.example",
            "null",
            "http://localhost:2",
            "file://localhost:1",
        ] {
            assert_eq!(of(&Method::GET, Some(other)), 403, "{other}");
            assert_eq!(of(&Method::POST, Some(other)), 403, "{other}");
        }
        assert_eq!(of(&Method::POST, None), 403);
    }

    #[test]
    fn the_token_or_its_cookie_is_needed() {
        let token = Token::new().unwrap();
        let guard = Guard {
            names: Vec::new(),
            token: Some(token.clone()),
            ..Guard::default()
        };
        let host = ("host", "10.0.0.1:9");
        let of =
            |headers: &[(&str, &str)], query: &str| judged(&guard, &Method::GET, headers, query);
        assert_eq!(status(of(&[host], "")), 401);
        assert_eq!(status(of(&[host], "token=")), 401);
        assert_eq!(status(of(&[host], "token=abc")), 401);
        let Verdict::Welcome(cookie) = of(&[host], &format!("a=b&token={}", token.reveal())) else {
            panic!("the token is refused");
        };
        let pair = cookie.split(';').next().unwrap();
        assert_eq!(
            of(&[host, ("cookie", &format!("x=y; {pair}"))], ""),
            Verdict::Pass
        );
        // The cookie of a server at another port is not this one's.
        assert_eq!(
            status(of(&[("host", "10.0.0.1:8"), ("cookie", pair)], "")),
            401
        );
        assert!(!format!("{guard:?}").contains(token.reveal()));
    }
}
