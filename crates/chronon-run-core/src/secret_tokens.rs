//! Forms that well-known services give their tokens and keys.

use super::MASK;

/// How each begins, and how many characters follow at least.
pub(super) const FORMS: [(&str, usize); 34] = [
    ("AKIA", 16),
    ("ASIA", 16),
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("github_pat_", 20),
    ("glpat-", 16),
    ("xoxb-", 16),
    ("xoxp-", 16),
    ("xoxa-", 16),
    ("xoxs-", 16),
    ("xoxe-", 16),
    ("xoxe.", 16),
    ("xapp-", 16),
    ("dapi", 32),
    ("ya29.", 16),
    ("AIza", 30),
    ("sk-", 20),
    ("sk_live_", 16),
    ("rk_live_", 16),
    ("sk_test_", 16),
    ("rk_test_", 16),
    ("whsec_", 16),
    ("hf_", 24),
    ("npm_", 24),
    ("pypi-", 24),
    ("SG.", 24),
    ("dckr_pat_", 16),
    ("hvs.", 16),
    ("hvb.", 16),
    ("GOCSPX-", 16),
    ("dop_v1_", 24),
];

/// Addresses whose path is the secret.
pub(super) const HOOKS: [&str; 4] = [
    "hooks.slack.com/services/",
    ".webhook.office.com/",
    "discord.com/api/webhooks/",
    "discordapp.com/api/webhooks/",
];

/// The word with every token in it masked.
pub(super) fn mask_tokens(word: &str) -> String {
    let mut shown = String::with_capacity(word.len());
    let mut rest = word;
    let mut begins = true;
    while let Some(first) = rest.chars().next() {
        let length = if begins { token(rest) } else { 0 };
        match length {
            0 => shown.push(first),
            _ => shown.push_str(MASK),
        }
        begins = length == 0 && !(first.is_alphanumeric() || "-_.".contains(first));
        rest = rest.get(length.max(first.len_utf8())..).unwrap_or_default();
    }
    mask_hooks(&shown)
}

/// How long the token is with which the text begins; 0 if there is none.
pub(super) fn token(text: &str) -> usize {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-.+=".contains(c);
    let length = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let (token, _) = text.split_at(length);
    let has_form = |(start, more): &(&str, usize)| {
        let rest = token.strip_prefix(start);
        rest.is_some_and(|rest| rest.len() >= *more)
    };
    let is_web_token =
        token.starts_with("eyJ") && token.len() > 22 && token.matches('.').count() == 2;
    match is_web_token || FORMS.iter().any(has_form) {
        true => length,
        false => 0,
    }
}

fn mask_hooks(word: &str) -> String {
    for hook in HOOKS {
        if let Some(at) = word.find(hook) {
            let end = at + hook.len();
            return format!("{}{MASK}", &word[..end]);
        }
    }
    word.to_owned()
}
