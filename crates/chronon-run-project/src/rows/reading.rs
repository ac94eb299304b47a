//! Rows of one table and day, read from their files or, where that cannot be, by Spark.

use chronon_run_rows::{Column, RowsError, Scan, Value};

use super::{
    failure,
    local::{Found, Place, find},
    session::{Answer, rows_of},
    sql::select,
};
use crate::{
    failure::Failure, listing::session::CatalogSession, loading::project::Project, output::note,
};

/// Which rows and columns are asked for.
pub struct Asked<'a> {
    /// The columns; all, if empty.
    pub columns: &'a [String],
    /// A condition in Spark SQL.
    pub condition: Option<&'a str>,
    /// How many rows; all, if absent.
    pub limit: Option<u64>,
}

/// Rows as they were read.
pub struct Rows {
    source: Source,
    limit: Option<u64>,
    /// How many there are, if that is known.
    pub total: Option<u64>,
}

enum Source {
    Files(Scan),
    Spark(Answer),
}

impl Rows {
    /// Reads rows of a place. That Spark has to read them, and why, is reported.
    pub fn read(
        context: &Project,
        warehouse: &CatalogSession,
        place: &Place,
        asked: &Asked<'_>,
    ) -> Result<Self, Failure> {
        let found = match (warehouse.catalog(), asked.condition) {
            (Some(catalog), None) => find(catalog, place)?,
            _ => Found::NeedsSpark("--where is for Spark to answer".to_owned()),
        };
        let limit = asked.limit;
        match found {
            Found::Rows(scan) => {
                let scan = match asked.columns {
                    [] => scan,
                    names => scan.select(names).map_err(failure)?,
                };
                Ok(Self {
                    total: Some(scan.row_count()),
                    source: Source::Files(scan),
                    limit,
                })
            }
            Found::NeedsSpark(why) => {
                note(&format!("note: {why}, so Spark reads it"));
                let query = select(place, asked.columns, asked.condition);
                Self::of_query(context, warehouse, &query, limit)
            }
        }
    }

    /// The first `limit` rows of a query, or all, as Spark answers it.
    pub fn of_query(
        context: &Project,
        warehouse: &CatalogSession,
        query: &str,
        limit: Option<u64>,
    ) -> Result<Self, Failure> {
        let answer = rows_of(context, warehouse, query, asked_of_spark(limit))?;
        Ok(Self {
            total: total_of_answer(limit, answer.scan.row_count()),
            source: Source::Spark(answer),
            limit,
        })
    }

    fn scan(&self) -> &Scan {
        match &self.source {
            Source::Files(scan) => scan,
            Source::Spark(answer) => &answer.scan,
        }
    }

    /// The columns.
    #[must_use]
    pub fn columns(&self) -> Vec<Column> {
        self.scan().columns()
    }

    /// As many rows as were asked for.
    pub fn rows(&self) -> impl Iterator<Item = Result<Vec<Value>, RowsError>> {
        self.scan().rows(self.limit)
    }
}

/// One more than is shown tells whether there are more.
fn asked_of_spark(limit: Option<u64>) -> Option<u64> {
    limit.map(|limit| limit.saturating_add(1))
}

/// How many rows there are where Spark answered with so many; `None` if there may be more.
fn total_of_answer(limit: Option<u64>, read: u64) -> Option<u64> {
    let all = asked_of_spark(limit).is_none_or(|asked| read < asked);
    all.then_some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_row_than_is_shown_means_that_there_are_more() {
        assert_eq!(asked_of_spark(Some(5)), Some(6));
        assert_eq!(asked_of_spark(None), None);
        assert_eq!(total_of_answer(Some(5), 6), None);
        assert_eq!(total_of_answer(Some(5), 5), Some(5));
        assert_eq!(total_of_answer(None, 900), Some(900));
    }
}
