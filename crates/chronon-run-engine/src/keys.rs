//! The file of `--keys`: comma-separated values, whose first line names key columns.

use chronon_run_conf::target::{KeyRows, KeysError};
use chronon_run_core::BYTE_ORDER_MARK;

/// Reads the text of a file of keys. Values may stand in double quotes; blanks around values and empty lines do
/// not count. A key is on one line.
///
/// # Errors
/// [`KeysError`] with the line that is wrong.
pub fn parse(text: &str) -> Result<KeyRows, KeysError> {
    let lines = text.trim_start_matches(BYTE_ORDER_MARK).lines();
    let lines = lines.enumerate().map(|(at, line)| (at + 1, line));
    let mut lines = lines.filter(|(_, line)| !line.trim().is_empty());
    let (number, names) = lines.next().ok_or(KeysError::Header)?;
    let columns = values(number, names)?;
    let rows = lines.map(|(number, line)| Ok((number, values(number, line)?)));
    KeyRows::new(columns, rows.collect::<Result<_, KeysError>>()?)
}

/// The values of one line.
fn values(number: usize, line: &str) -> Result<Vec<String>, KeysError> {
    // A quote within quotes is written twice, so that the quotes of a whole line are even.
    if line.matches('"').count() % 2 == 1 {
        return Err(KeysError::Quote(number));
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .trim(csv::Trim::All)
        .from_reader(line.trim().as_bytes());
    // To read text in memory does not fail, and a line that is not blank is a record.
    let record = reader.records().next().and_then(Result::ok);
    let record = record.unwrap_or_default();
    Ok(record.iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(columns: &[&str], rows: &[&[&str]]) -> KeyRows {
        let texts = |row: &[&str]| row.iter().map(|text| (*text).to_owned()).collect();
        let rows = rows.iter().map(|row| (0, texts(row)));
        KeyRows::new(texts(columns), rows.collect()).unwrap()
    }

    #[test]
    fn values_are_read_as_csv() {
        let plain = parse("\u{feff}user, city\r\n it's ,a\r\n\r\nb,c");
        let wanted = keys(&["user", "city"], &[&["it's", "a"], &["b", "c"]]);
        assert_eq!(plain.unwrap(), wanted);
        let quoted = parse("\"user\",city\n\"Smith, J\",\"5\"\" disk\"\n\"\",x\n");
        let wanted = keys(&["user", "city"], &[&["Smith, J", "5\" disk"], &["", "x"]]);
        assert_eq!(quoted.unwrap(), wanted);
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        assert_eq!(parse(""), Err(KeysError::Header));
        assert_eq!(parse("a,"), Err(KeysError::Header));
        assert_eq!(parse("a\n \n"), Err(KeysError::Empty));
        assert_eq!(parse("a,a\n1,2\n"), Err(KeysError::Twice("a".to_owned())));
        assert_eq!(parse("a\n1\n\n\"2\n"), Err(KeysError::Quote(4)));
        let width = KeysError::Width {
            line: 4,
            found: 1,
            wanted: 2,
        };
        assert_eq!(parse("a,b\n1,2\n\n3\n"), Err(width));
    }
}
