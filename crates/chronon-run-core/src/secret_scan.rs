//! Which lines may hold a secret, found in one pass over a text. Lines that are not named here stay as they
//! are; those that are named are looked at word by word.
//!
//! Names are compared as [`super::looks_secret`] does, without case and separators, so the pass copies the
//! letters and digits of the text and looks for the parts of names in the copy.

use std::{collections::BTreeSet, sync::LazyLock};

use memchr::memmem::{self, Finder};

use super::{
    SECRET_ENDS, SECRET_PARTS, SECRET_WORDS, is_gap,
    tokens::{FORMS, HOOKS, token},
};

/// What tells of a secret in any case and with any separators, besides parts of names and addresses. A blank
/// stands for white space of any kind.
const OTHERS: [&str; 3] = ["fsazuresas", "jdbcoracle", "private key"];

static NEEDLES: LazyLock<Vec<Finder<'static>>> = LazyLock::new(|| {
    let names = SECRET_PARTS.iter().chain(&SECRET_ENDS).chain(&HOOKS);
    let names = names.map(|name| name.replace(|c: char| !c.is_ascii_alphanumeric(), ""));
    let all = names.chain(OTHERS.map(str::to_owned));
    all.map(|needle| Finder::new(needle.as_bytes()).into_owned())
        .collect()
});

/// How the tokens of services begin, in their own case.
static STARTS: LazyLock<Vec<Finder<'static>>> = LazyLock::new(|| {
    let starts = FORMS.iter().map(|(start, _)| *start).chain(["eyJ"]);
    starts.map(Finder::new).collect()
});

/// What is copied of each byte: letters in lower case, digits, and a blank for each blank; 0 if nothing is. A
/// table, because a log has millions of bytes and tests run without optimisation.
const CLASS: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        let found = byte as u8;
        if found.is_ascii_alphanumeric() {
            classes[byte] = found.to_ascii_lowercase();
        } else if found.is_ascii_whitespace() {
            classes[byte] = b' ';
        }
        byte += 1;
    }
    classes
};

/// Numbers of the lines that may hold a secret, from 0.
pub(super) fn suspicious_lines(text: &str) -> BTreeSet<usize> {
    let letters = Letters::of(text);
    let named = NEEDLES
        .iter()
        .flat_map(|needle| needle.find_iter(&letters.copied));
    let mut found: BTreeSet<usize> = named.map(|at| letters.line_of(at)).collect();
    found.extend(&letters.suspicious);
    let places = tokens(text).chain(user_infos(text));
    let mut counted = 0;
    let mut line = 0;
    let mut sorted: Vec<usize> = places.collect();
    sorted.sort_unstable();
    for at in sorted {
        line += memchr::memchr_iter(b'\n', &text.as_bytes()[counted..at]).count();
        counted = at;
        found.insert(line);
    }
    found
}

/// Where a token begins.
fn tokens(text: &str) -> impl Iterator<Item = usize> {
    let begins = |at: &usize| {
        let before = text.as_bytes()[..*at].last();
        before.is_none_or(|before| !(before.is_ascii_alphanumeric() || b"-_.".contains(before)))
    };
    let places = STARTS
        .iter()
        .flat_map(|start| start.find_iter(text.as_bytes()));
    places
        .filter(begins)
        .filter(|at| text.get(*at..).is_some_and(|rest| token(rest) > 0))
}

/// Where `://` is with an `@` in the same word.
fn user_infos(text: &str) -> impl Iterator<Item = usize> {
    let places = memmem::find_iter(text.as_bytes(), "://");
    places.filter(|at| {
        let rest = text.get(*at..).unwrap_or_default();
        rest.split(is_gap)
            .next()
            .is_some_and(|word| word.contains('@'))
    })
}

/// The letters and digits of a text in lower case, a blank between its words.
struct Letters {
    copied: Vec<u8>,
    /// Where each line begins in them, but for the first.
    begins: Vec<usize>,
    /// Lines with a word that tells of a secret by itself.
    suspicious: BTreeSet<usize>,
}

impl Letters {
    fn of(text: &str) -> Self {
        let mut all = Self {
            copied: Vec::with_capacity(text.len()),
            begins: Vec::new(),
            suspicious: BTreeSet::new(),
        };
        // Where the letters began that come last, and what is before them.
        let mut run: Option<(usize, u8)> = None;
        let mut before = b'\n';
        for &byte in text.as_bytes() {
            let class = CLASS[usize::from(byte)];
            if class > b' ' {
                if run.is_none() {
                    run = Some((all.copied.len(), before));
                }
                all.copied.push(class);
            } else {
                if let Some(run) = run.take() {
                    all.end_run(run, byte);
                }
                if class == b' ' {
                    all.copied.push(b' ');
                }
                if byte == b'\n' {
                    all.begins.push(all.copied.len());
                }
            }
            before = byte;
        }
        if let Some(run) = run {
            all.end_run(run, b'\n');
        }
        all
    }

    fn line_of(&self, at: usize) -> usize {
        self.begins.partition_point(|begin| *begin <= at)
    }

    fn end_run(&mut self, (begin, before): (usize, u8), after: u8) {
        let word = &self.copied[begin..];
        let is_last_of_name = matches!(after, b'=' | b'%')
            && (word.ends_with(b"sig") || word.ends_with(b"signature"));
        if is_last_of_name || tells(word, before) {
            self.suspicious.insert(self.begins.len());
        }
    }
}

/// Whether a word of a name is secret by itself, or says that the next one is.
fn tells(word: &[u8], before: u8) -> bool {
    let [.., last_but_one, last] = word else {
        return before == b'-' && word == b"u";
    };
    let word = match word {
        // The digits of a percent encoded character.
        [_, _, name @ ..] if before == b'%' => name,
        _ => word,
    };
    let is_short = word.len() <= 8;
    // `-D` of a JVM option is not a part of the name.
    let bare = word.strip_prefix(b"d").unwrap_or(word);
    let is_one_of = |words: &[&str]| {
        let mut words = words.iter().map(|known| known.as_bytes());
        words.any(|known| known == word || known == bare)
    };
    matches!((last_but_one, last), (b'p', b'w') | (b'w', b'd'))
        || is_short && is_one_of(&SECRET_WORDS)
        || is_short && is_one_of(&["bearer", "basic"])
        || before == b'-' && word == b"user"
}
