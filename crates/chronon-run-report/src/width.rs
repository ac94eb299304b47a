//! How wide the screen is.

use std::{env, io::IsTerminal};

use console::Term;

/// How many columns a line of standard output may have: as `COLUMNS` says, or the terminal. `None` where
/// there is neither, because what reads the lines has no width.
#[must_use]
pub fn screen_width() -> Option<usize> {
    let said = env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let said = said.filter(|columns| *columns > 0);
    said.or_else(|| {
        let is_terminal = std::io::stdout().is_terminal();
        let size = is_terminal.then(|| Term::stdout().size_checked()).flatten();
        size.map(|(_, columns)| usize::from(columns))
    })
}
