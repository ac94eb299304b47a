//! `thrift://host:port[,thrift://host:port…]`, as Hive's `hive.metastore.uris` has it.

use std::{fmt, str::FromStr};

/// A text that is no metastore address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`{0}` is not a metastore address; write thrift://<host>:<port>, or several of those separated by commas"
)]
pub struct BadUri(pub String);

/// One or more metastore addresses; the first that answers is used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Uri(Vec<String>);

impl Uri {
    /// Every `host:port`, in the order written; never empty.
    #[must_use]
    pub fn addresses(&self) -> &[String] {
        &self.0
    }
}

impl FromStr for Uri {
    type Err = BadUri;

    fn from_str(text: &str) -> Result<Self, BadUri> {
        let bad = || BadUri(text.to_owned());
        let address = |piece: &str| {
            let address = piece.trim().strip_prefix("thrift://")?;
            let address = address.strip_suffix('/').unwrap_or(address);
            let (host, port) = address.rsplit_once(':')?;
            let port: u16 = port.parse().ok()?;
            let host_is_plain = !host.is_empty() && !host.contains(['/', '@', ' ', '?', '#']);
            (host_is_plain && port != 0).then(|| address.to_owned())
        };
        let addresses: Option<Vec<String>> = text.split(',').map(address).collect();
        addresses.map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, address) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}thrift://{address}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_or_several_addresses() {
        let uri: Uri = "thrift://a:9083, thrift://[::1]:9084/".parse().unwrap();
        assert_eq!(uri.addresses(), ["a:9083", "[::1]:9084"]);
        assert_eq!(uri.to_string(), "thrift://a:9083,thrift://[::1]:9084");
    }

    #[test]
    fn refuses_everything_else() {
        for bad in [
            "",
            "a:9083",
            "thrift://a",
            "thrift://:9083",
            "thrift://a:0",
            "thrift://a:99999",
            "thrift://a:9083,",
            "http://a:9083",
            "thrift://u@h/a:1",
        ] {
            assert!(bad.parse::<Uri>().is_err(), "{bad}");
        }
    }
}
