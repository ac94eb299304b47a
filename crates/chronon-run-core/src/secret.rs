//! What is secret: the one place that decides it, by the name of a setting and by what its value holds.
//!
//! Everything that is shown or stored goes through [`mask`] or [`mask_text`]. What stays secret by neither
//! name nor form (a password in a free text) cannot be known; such a setting needs a name that marks it as secret.

#[path = "secret_forms.rs"]
mod forms;
#[path = "secret_keys.rs"]
mod keys;
#[path = "secret_scan.rs"]
mod scan;
#[path = "secret_tokens.rs"]
mod tokens;

use forms::{Property, begins_pair, cookie_header, mask_colons, mask_encoded, precedes_in_columns};
pub use keys::LogMask;
use keys::mask_keys;
use tokens::mask_tokens;

/// What stands in place of a secret.
pub const MASK: &str = "***";

/// Parts of a name, in lower case and without separators, of which each makes its value secret.
const SECRET_PARTS: [&str; 23] = [
    "password",
    "passcode",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "accesskey",
    "accountkey",
    "apikey",
    "privatekey",
    "encryptionkey",
    "signingkey",
    "sharedkey",
    "masterkey",
    "keymaterial",
    "sasl.jaas",
    "saskey",
    "connectionstring",
    "authorization",
    "basic.auth.user.info",
    "pemprivate",
    "pvtkey",
];

/// Ends of a name, likewise; in the middle they may begin `keystore` and `keytab`.
const SECRET_ENDS: [&str; 12] = [
    "dbpass",
    "storepass",
    "keypass",
    "authkey",
    "hmackey",
    "licensekey",
    "clientkey",
    "storagekey",
    "subscriptionkey",
    "functionkey",
    "authparams",
    "redisauth",
];

/// Ends of a name, likewise, whatever its last word says.
const ALWAYS_SECRET_ENDS: [&str; 2] = ["accesskeyid", "sasljaasconfig"];

/// Whole words of a name that make its value secret.
const SECRET_WORDS: [&str; 8] = [
    "pwd", "pass", "sas", "pat", "privkey", "pin", "jwt", "cookie",
];

/// Last words of a name that say that its value only tells of a secret: where it is, how long it lives,
/// how it is made or who gives it out.
const ABOUT: [&str; 42] = [
    "provider",
    "path",
    "file",
    "location",
    "class",
    "type",
    "enabled",
    "endpoint",
    "url",
    "uri",
    "timeout",
    "ttl",
    "lifetime",
    "interval",
    "renewal",
    "expiry",
    "expiration",
    "algorithm",
    "length",
    "size",
    "bits",
    "id",
    "alias",
    "name",
    "version",
    "mode",
    "format",
    "count",
    "max",
    "min",
    "limit",
    "ratio",
    "ms",
    "seconds",
    "config",
    "impl",
    "factory",
    "iterations",
    "service",
    "issuer",
    "audience",
    "scope",
];

/// Names that the rules above would take for secret, or for harmless, and are not.
const EXCEPTIONS: [(&str, bool); 8] = [
    ("kerberos.renewal.credentials", false),
    ("fs.s3a.aws.credentials.provider", false),
    ("fs.s3a.access.key", true),
    ("fs.azure.account.oauth2.client.id", false),
    ("spark.authenticate", false),
    ("spark.kerberos.access.hadoopfilesystems", false),
    ("basic.auth.credentials.source", false),
    ("google_application_credentials", false),
];

/// Whether a variable or property of this name holds a secret.
#[must_use]
pub fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace("tokeniz", "");
    let exception = EXCEPTIONS.iter().find(|(known, _)| name.ends_with(known));
    if let Some((_, secret)) = exception {
        return *secret;
    }
    let words: Vec<&str> = name.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    // Storage accounts and containers follow the setting's own name.
    let azure = name.contains("fs.azure.sas.") || name.contains("fs.azure.account.key");
    if azure {
        return !name.ends_with("keyprovider") && !name.ends_with(".type");
    }
    let joined: String = words.concat();
    if ALWAYS_SECRET_ENDS.iter().any(|end| joined.ends_with(end)) {
        return true;
    }
    if words.last().is_some_and(|last| is_about(last)) {
        return false;
    }
    SECRET_PARTS
        .iter()
        .any(|part| name.contains(part) || joined.contains(part))
        || SECRET_ENDS.iter().any(|end| joined.ends_with(end))
        || words.iter().any(|word| {
            SECRET_WORDS.contains(word) || word.ends_with("pwd") || word.ends_with("pw")
        })
}

fn is_about(word: &str) -> bool {
    let exact = ABOUT
        .iter()
        .any(|about| word == *about || word.strip_suffix('s').is_some_and(|one| one == *about));
    // tokenProvider, passwordFile.
    exact
        || [
            "provider", "path", "file", "location", "endpoint", "enabled", "lifetime", "length",
            "type", "name", "ratio", "bits",
        ]
        .iter()
        .any(|about| word.len() > about.len() && word.ends_with(about))
}

/// The value of the setting `name` as it may be shown.
#[must_use]
pub fn mask(name: &str, value: &str) -> String {
    if looks_secret(name) && !value.is_empty() {
        return MASK.to_owned();
    }
    mask_text(value)
}

/// Whether [`mask`] hides anything.
#[must_use]
pub fn holds_secret(name: &str, value: &str) -> bool {
    mask(name, value) != value
}

/// A text with the secrets that can be told by their form masked: `password=` in URLs, JDBC and connection
/// strings and JVM options, `user:password@`, `Bearer` and `Basic` headers, signatures of URLs, private
/// keys, and tokens of well-known services.
#[must_use]
pub fn mask_text(text: &str) -> String {
    match scan::suspicious_lines(text).is_empty() {
        true => text.to_owned(),
        false => mask_words(text),
    }
}

/// The same, whether the text looks as if it held a secret or not.
fn mask_words(text: &str) -> String {
    let keyless = match text.contains("PRIVATE KEY") {
        true => mask_keys(text),
        false => text.to_owned(),
    };
    let plain = Property::default().mask(&keyless);
    let quoted = mask_colons(&mask_quoted(&mask_braced(&plain)));
    let mut shown = String::with_capacity(quoted.len());
    let mut rest = quoted.as_str();
    let mut due = Due::Nothing;
    let mut before = "";
    while !rest.is_empty() {
        let word_end = rest.find(is_gap).unwrap_or(rest.len());
        let (word, after) = rest.split_at(word_end);
        let gap_end = after.find(|c| !is_gap(c)).unwrap_or(after.len());
        let (gap, next) = after.split_at(gap_end);
        shown.push_str(&masked_where_due(due, word));
        shown.push_str(gap);
        due = due.after(before, word);
        if due == Due::Nothing && precedes_in_columns(word, gap, next) {
            due = Due::Value;
        }
        (before, rest) = (word, next);
    }
    shown
}

/// What the words before say of the next one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    Nothing,
    /// It is a secret.
    Value,
    /// It is the scheme of an `Authorization` header, or the secret.
    Scheme,
    /// It is a secret, unless it is too short for one.
    Token,
    /// It is `user:password`.
    UserAndPassword,
    /// It is a cookie, and so is the next one if it ends with a semicolon.
    Cookie,
}

impl Due {
    /// What is due after `word`, for which `self` was due and before which is `before`.
    fn after(self, before: &str, word: &str) -> Self {
        let bare = word.trim_matches(is_quote).to_ascii_lowercase();
        if self == Self::Scheme && is_scheme(&bare) {
            return Self::Value;
        }
        if self == Self::Cookie && word.ends_with(';') {
            return Self::Cookie;
        }
        if self == Self::Value || self == Self::Cookie {
            return Self::Nothing;
        }
        let is_assigned =
            ["=", "->", "=>", ":"].contains(&word) && names_secret(&format!("{before}="));
        let header = before.trim_end_matches(is_quote).to_ascii_lowercase();
        match bare.as_str() {
            _ if bare.ends_with("authorization:") => Self::Scheme,
            _ if is_assigned && header.ends_with("authorization") => Self::Scheme,
            _ if is_assigned && header.ends_with("cookie") => Self::Cookie,
            _ if cookie_header(word).is_some_and(|end| end == word.len()) => Self::Cookie,
            _ if cookie_header(word).is_some() && word.ends_with(';') => Self::Cookie,
            _ if ends_with_authorization(&bare) => Self::Value,
            "bearer" | "basic" => Self::Token,
            "-u" | "--user" | "--proxy-user" => Self::UserAndPassword,
            _ if ends_with_scheme(&bare) => Self::Token,
            _ if is_assigned || announces(word) || begins_pair(word) => Self::Value,
            _ => Self::Nothing,
        }
    }
}

fn masked_where_due(due: Due, word: &str) -> String {
    let is_option = word.starts_with("--") || word.is_empty();
    match due {
        Due::Value | Due::Token | Due::Scheme | Due::Cookie if is_option => word.to_owned(),
        Due::Scheme if is_scheme(&word.to_ascii_lowercase()) => word.to_owned(),
        Due::Token if word.len() < 6 => word.to_owned(),
        Due::Value | Due::Scheme | Due::Token | Due::Cookie => {
            let value = word.trim_end_matches([',', ';', ')', '}', ']', '"', '\'']);
            if value.trim_start_matches(is_quote) == MASK {
                return word.to_owned();
            }
            let value = if value.is_empty() { word } else { value };
            format!("{MASK}{}", &word[value.len()..])
        }
        Due::UserAndPassword => match word.split_once(':') {
            Some((user, password)) if !password.chars().all(|c| c.is_ascii_digit()) => {
                format!("{user}:{MASK}")
            }
            _ => mask_word(word),
        },
        Due::Nothing => mask_word(word),
    }
}

/// Whether a word in lower case may be the scheme of an `Authorization` header.
fn is_scheme(word: &str) -> bool {
    [
        "basic",
        "bearer",
        "token",
        "apikey",
        "sharedkey",
        "sharedkeylite",
        "digest",
        "negotiate",
        "snowflake",
    ]
    .contains(&word)
        || word.starts_with("aws4-")
}

/// `password={value}` of SQL Server, whose value may have any character.
fn mask_braced(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("={") {
        let (before, value) = rest.split_at(at + 2);
        shown.push_str(before);
        rest = value;
        if !names_secret(&shown[..shown.len() - 1]) {
            continue;
        }
        // A brace in it is doubled.
        let mut end = 0;
        while let Some(found) = rest.get(end..).and_then(|rest| rest.find('}')) {
            end += found + 1;
            if !rest[end..].starts_with('}') {
                shown.push_str(MASK);
                rest = &rest[end - 1..];
                break;
            }
            end += 1;
        }
    }
    shown.push_str(rest);
    shown
}

/// `name="value"` and `"name": "value"`, whose value may have blanks, also in a string whose quotes are escaped.
fn mask_quoted(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(is_quote) {
        let (before, opened) = rest.split_at(at);
        let (quote, inside) = opened.split_at(1);
        shown.push_str(before);
        let named = shown.trim_end_matches('\\');
        let escapes = shown.len() - named.len();
        let length = closing(inside, quote, escapes);
        let value = &inside[..length];
        let option = option_with_blanks(value).unwrap_or_default();
        let is_named = names_secret(named) || precedes_secret(named) || begins_pair(named);
        let hide = !value.is_empty() && value != MASK && is_named;
        shown.push_str(quote);
        rest = inside;
        if hide || !option.is_empty() {
            shown.push_str(option);
            shown.push_str(MASK);
            let after = &inside[length..];
            let closed = after.trim_start_matches('\\').strip_prefix(quote);
            rest = closed.unwrap_or(after);
            shown.push_str(&after[..after.len() - rest.len()]);
        }
    }
    shown.push_str(rest);
    shown
}

/// The `-Dname=` of a quoted option whose secret value has blanks.
fn option_with_blanks(quoted: &str) -> Option<&str> {
    let (name, value) = quoted.split_once('=')?;
    let bare = name.strip_prefix("-D").unwrap_or(name);
    let is_name = bare.chars().all(is_of_name);
    let is_option = is_name && value.contains(is_gap) && looks_secret(bare);
    is_option.then(|| quoted.split_at(name.len() + 1).0)
}

/// Where the quote ends that has just begun and before which are as many `escapes`: at the next quote that is
/// not escaped any deeper, before its escapes.
fn closing(text: &str, quote: &str, escapes: usize) -> usize {
    let mut run = 0;
    for (at, c) in text.char_indices() {
        let closes = match escapes {
            0 => run % 2 == 0,
            _ => run <= escapes,
        };
        if quote.starts_with(c) && closes {
            return if escapes == 0 { at } else { at - run };
        }
        run = if c == '\\' { run + 1 } else { 0 };
    }
    text.len()
}

/// Whether a text ends with the name of a secret and `=` or `:`.
fn names_secret(text: &str) -> bool {
    let Some(text) = text.trim_end().strip_suffix(['=', ':']) else {
        return false;
    };
    let name = last_name(
        text.trim_end()
            .trim_end_matches(|c| is_quote(c) || c == '\\'),
    );
    looks_secret(name.trim_start_matches("-D"))
}

/// The name with which a text ends, and what separates it from the text before.
fn last_name(text: &str) -> &str {
    let begin = text.rfind(|c| !is_of_name(c));
    begin.map_or(text, |at| text.get(at..).unwrap_or_default())
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || "._-".contains(c)
}

/// Whether a text ends with the name of a secret and a blank, as an option of a SQL statement does:
/// `password 'x'`.
fn precedes_secret(text: &str) -> bool {
    let name = text.trim_end();
    if name.len() == text.len() {
        return false;
    }
    let name = last_name(name).trim_start_matches(|c: char| !c.is_alphanumeric());
    looks_secret(name)
        && (ALONE.contains(&name.to_ascii_lowercase().as_str()) || name.contains(['.', '_']))
}

/// Names that no message uses for anything but a secret.
const ALONE: [&str; 4] = ["password", "passwd", "passphrase", "cookie"];

/// `--password` and `X-Api-Key:`, after which the value is the next word. Of single words before a colon only
/// those that no message uses otherwise: `bad token: …` stays.
fn announces(word: &str) -> bool {
    if let Some(option) = word.strip_prefix("--") {
        return !option.contains('=') && looks_secret(option);
    }
    // keytool -storepass x
    if let Some(option) = word.strip_prefix('-') {
        let option = option.to_ascii_lowercase();
        return ["pass", "password"].iter().any(|end| option.ends_with(end))
            && looks_secret(&option);
    }
    let Some(name) = word.strip_suffix(':') else {
        return false;
    };
    let name = name.trim_start_matches(|c| is_quote(c) || "({[".contains(c));
    let is_word = name.chars().all(char::is_alphanumeric);
    let is_name = name.chars().all(is_of_name);
    is_name
        && looks_secret(name)
        && (!is_word || ALONE.contains(&name.to_ascii_lowercase().as_str()))
}

/// Whether a word in lower case ends with `authorization:` and a scheme.
fn ends_with_authorization(word: &str) -> bool {
    let parts = word.rsplit_once([':', '=']);
    parts.is_some_and(|(name, scheme)| name.ends_with("authorization") && is_scheme(scheme))
}

/// Whether a word in lower case ends with a scheme after which a token follows.
fn ends_with_scheme(word: &str) -> bool {
    [
        ":bearer", "=bearer", ":basic", "=basic", "\"bearer", "'bearer",
    ]
    .iter()
    .any(|end| word.ends_with(end))
}

fn is_gap(c: char) -> bool {
    c.is_whitespace()
}

fn is_quote(c: char) -> bool {
    c == '"' || c == '\''
}

/// One word without blanks: user and password of a URL, then every `name=value` in it, then tokens.
fn mask_word(word: &str) -> String {
    if let Some(begin) = cookie_header(word).filter(|begin| *begin < word.len()) {
        let end = word
            .trim_end_matches([',', ';', ')', '}', ']', '"', '\''])
            .len();
        return format!("{}{MASK}{}", &word[..begin], &word[end.max(begin)..]);
    }
    let word = mask_encoded(&mask_tokens(&mask_oracle(&mask_user_info(word))));
    let mut shown = String::with_capacity(word.len());
    let mut rest = word.as_str();
    loop {
        let end = rest.find(is_separator).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        match begins_pair(&shown) && !part.is_empty() {
            true => shown.push_str(MASK),
            false => shown.push_str(&mask_part(part)),
        }
        let mut characters = after.chars();
        match characters.next() {
            Some(separator) => shown.push(separator),
            None => return shown,
        }
        rest = characters.as_str();
    }
}

fn is_separator(c: char) -> bool {
    matches!(
        c,
        '&' | ';' | '?' | ',' | '"' | '\'' | '(' | ')' | '{' | '}'
    )
}

/// `name=value`, `-Dname=value`, `name:value` of JSON and headers, or a bare value.
fn mask_part(part: &str) -> String {
    if let Some(at) = part.find('=') {
        let (name, value) = (&part[..at], &part[at + 1..]);
        let bare = name.trim_start_matches("-D").trim_start_matches('-');
        let bare = bare.rsplit(['/', ':']).next().unwrap_or(bare);
        let query = [
            "sig",
            "signature",
            "x-amz-signature",
            "x-goog-signature",
            "sharedaccesssignature",
        ]
        .contains(&bare.to_ascii_lowercase().as_str());
        if !value.is_empty() && value != MASK && (looks_secret(bare) || query) {
            return format!("{name}={MASK}");
        }
        // -Dspark.x=-Dy.password=z
        return format!("{name}={}", mask_part_value(value));
    }
    mask_part_value(part)
}

fn mask_part_value(value: &str) -> String {
    if value.contains('=') {
        return mask_part(value);
    }
    value.to_owned()
}

/// `jdbc:oracle:thin:user/password@host`, whatever is between the scheme and the user.
fn mask_oracle(word: &str) -> String {
    const SCHEME: &str = "jdbc:oracle:";
    let parts = || {
        let begin = word.to_ascii_lowercase().find(SCHEME)? + SCHEME.len();
        let user = begin + word.get(begin..)?.find(':')? + 1;
        let at = user + word.get(user..)?.find('@')?;
        let slash = user + word.get(user..at)?.find('/')?;
        Some((word.get(..=slash)?, word.get(at..)?))
    };
    match parts() {
        Some((before, after)) => format!("{before}{MASK}{after}"),
        None => word.to_owned(),
    }
}

/// `scheme://user:password@host`.
fn mask_user_info(word: &str) -> String {
    let mut shown = word.to_owned();
    let mut from = 0;
    while let Some(found) = shown.get(from..).and_then(|rest| rest.find("://")) {
        let begin = from + found + 3;
        let authority = &shown[begin..];
        let end = authority.find(['/', '?', '#']).unwrap_or(authority.len());
        // A password may hold a slash or a question mark that is not escaped.
        let at = authority[..end].rfind('@').or_else(|| {
            let colon = authority[..end].find(':')?;
            let port = &authority[colon + 1..end];
            let is_port = port.chars().all(|c| c.is_ascii_digit()) && !port.is_empty();
            if is_port { None } else { authority.find('@') }
        });
        if let Some(at) = at
            && let Some(colon) = authority[..at].find(':')
        {
            let (mut user, host) = (&authority[..colon], &authority[at..]);
            // GitHub's way to give a token.
            if &authority[colon + 1..at] == "x-oauth-basic" {
                user = MASK;
            }
            shown = format!("{}{user}:{MASK}{host}", &shown[..begin]);
        }
        from = begin;
    }
    shown
}

#[cfg(test)]
#[path = "secret_tests.rs"]
mod tests;
