//! Schedules as Airflow knows them.

/// Chronon's word for "not on its own".
pub(super) const NEVER: &str = "@never";
/// The schedule of most DAGs.
pub(super) const DAILY: &str = "@daily";

/// The same schedule in a word of Airflow, or as five fields of cron.
pub(super) fn cadence(schedule: &str) -> &str {
    match schedule.trim() {
        "@midnight" => DAILY,
        "@annually" => "@yearly",
        other => other,
    }
}

/// What a schedule adds to the id of a DAG that holds everything of one team: nothing for the
/// schedule that Chronon gives such DAGs.
pub(super) fn suffix(cadence: &str) -> String {
    if cadence == DAILY {
        return String::new();
    }
    let mut out = "__".to_owned();
    for character in cadence.trim_start_matches('@').chars() {
        match character {
            '*' => out.push('x'),
            '/' => out.push_str("by"),
            ',' => out.push_str("and"),
            '-' => out.push_str("to"),
            character if character.is_ascii_alphanumeric() => out.push(character),
            _ => out.push('_'),
        }
    }
    out
}

/// Whether a DAG runs on every day.
pub(super) fn is_daily(cadence: &str) -> bool {
    let fields: Vec<&str> = cadence.split_whitespace().collect();
    matches!(
        fields.as_slice(),
        [DAILY | "@hourly"] | [_, _, "*", "*", "*"]
    )
}
