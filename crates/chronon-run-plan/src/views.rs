//! What of the tables behind views cannot be waited for.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_conf::tables_read;
use chronon_run_core::{CatalogSnapshot, TableName};

use crate::{
    graph::{Asset, Role},
    need::Need,
    resolve::{Bases, Dayless, lake},
};

/// Something behind a view that is not waited for, or waited for in vain.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ViewFault {
    /// The view.
    pub view: TableName,
    /// The code of a finding.
    pub code: &'static str,
    /// What is the matter with it.
    pub text: String,
    /// What to do about it.
    pub hint: String,
}

/// What is wrong behind the views that `assets`, resolved, read; `declared` has the tables of `days_from`.
#[must_use]
pub fn view_faults<'a>(
    assets: impl IntoIterator<Item = &'a Asset>,
    snapshot: &CatalogSnapshot,
    bases: &Bases,
    declared: &BTreeMap<TableName, TableName>,
) -> BTreeSet<ViewFault> {
    let mut faults = BTreeSet::new();
    let mut views = BTreeSet::new();
    for asset in assets {
        faults.extend(undated_bases(asset, snapshot));
        let read = asset.inputs.iter().filter_map(|input| match &input.role {
            Role::Behind { view, .. } => Some(view),
            _ => None,
        });
        views.extend(read);
    }
    let reached: BTreeSet<&TableName> = views
        .into_iter()
        .flat_map(|view| behind_view(view, bases))
        .filter(|table| bases.contains_key(*table))
        .collect();
    for view in reached {
        faults.extend(circle(view, bases, declared));
        if !declared.contains_key(view) {
            faults.extend(unclear(view, snapshot));
        }
    }
    faults
}

/// A view, and every view and table behind it.
#[must_use]
pub fn behind_view<'a>(view: &'a TableName, bases: &'a Bases) -> BTreeSet<&'a TableName> {
    let mut seen = BTreeSet::new();
    let mut open = vec![view];
    while let Some(next) = open.pop() {
        if seen.insert(next) {
            open.extend(bases.get(next).into_iter().flatten());
        }
    }
    seen
}

/// The tables behind the views of an asset that have no days, where other tables have: of these nothing but
/// their existence is waited for. A table of a lake format is always one.
fn undated_bases(asset: &Asset, snapshot: &CatalogSnapshot) -> Vec<ViewFault> {
    let behind = || {
        asset.inputs.iter().filter_map(|input| match &input.role {
            Role::Behind { view, .. } => Some((view, input)),
            _ => None,
        })
    };
    let dated: BTreeSet<&TableName> = behind()
        .filter(|(_, input)| input.need != Need::Table)
        .map(|(view, _)| view)
        .collect();
    let fault = |view: &TableName, table: &TableName| {
        let format = snapshot.table(table).and_then(|state| lake(&state.info));
        let what = match format {
            Some(Dayless::Lake("Iceberg")) => "an Iceberg table".to_owned(),
            Some(Dayless::Lake(format)) => format!("a {format} table"),
            _ if dated.contains(view) => "a table without partitions by day".to_owned(),
            // The view as a whole has no days, which is said once.
            _ => return None,
        };
        Some(ViewFault {
            view: view.clone(),
            code: "view-input",
            text: format!("{view} reads {table}, {what}: that it exists is all that is waited for"),
            hint: days_from(view),
        })
    };
    behind()
        .filter(|(_, input)| input.need == Need::Table)
        .filter_map(|(view, input)| fault(view, &input.spec.table))
        .collect()
}

/// What the text of a view reads that cannot be told, next to tables that can.
fn unclear(view: &TableName, snapshot: &CatalogSnapshot) -> Option<ViewFault> {
    let info = &snapshot.table(view)?.info;
    let text = info.view_text.as_deref().filter(|_| info.is_view)?;
    let unclear: Vec<String> = tables_read(text, &[]).unclear.into_iter().collect();
    (!unclear.is_empty()).then(|| ViewFault {
        view: view.clone(),
        code: "view-input",
        text: format!(
            "{view} is a view that also reads what cannot be waited for: {}",
            unclear.join("; ")
        ),
        hint: days_from(view),
    })
}

/// Whether a view stands behind itself, so that no table tells its days.
fn circle(
    view: &TableName,
    bases: &Bases,
    declared: &BTreeMap<TableName, TableName>,
) -> Option<ViewFault> {
    let next = bases.get(view)?.iter();
    let mut back = next.filter(|table| behind_view(table, bases).contains(view));
    let through = back.next()?;
    let text = match declared.get(view) {
        Some(table) if table == view => {
            format!("`days_from` of {view} names {view} itself: no table tells its days")
        }
        Some(_) => format!(
            "`days_from` of {view} names {through}, whose days are those of {view}: no table tells them"
        ),
        None => format!("{view} reads {through}, which reads {view}: no table tells its days"),
    };
    Some(ViewFault {
        view: view.clone(),
        code: "view-circle",
        text,
        hint: days_from(view),
    })
}

fn days_from(view: &TableName) -> String {
    format!(
        "name the table whose days it has: `days_from = \"db.table\"` under `[sources.\"{view}\"]` in workspace.toml"
    )
}

#[cfg(test)]
mod tests {
    use chronon_run_core::{Column, Partitions, TableInfo, TableState};

    use super::*;
    use crate::{
        Graph, bases,
        testing::{asset, day, input},
    };

    fn name(text: &str) -> TableName {
        text.parse().unwrap()
    }

    fn view(text: &str) -> TableState {
        let info = TableInfo {
            is_view: true,
            view_text: Some(text.to_owned()),
            ..TableInfo::default()
        };
        TableState {
            info,
            ..TableState::default()
        }
    }

    fn column(name: &str) -> Column {
        Column {
            name: name.to_owned(),
            data_type: "string".to_owned(),
        }
    }

    fn dated() -> TableState {
        let mut state = TableState::default();
        state.info.partition_columns = vec![column("ds")];
        let days = [day(0)].into_iter().collect();
        let partitions = Partitions::of_days(days);
        state.partitions.insert("ds".to_owned(), partitions);
        state
    }

    fn iceberg() -> TableState {
        let mut state = TableState::default();
        state.info.columns = vec![column("x")];
        let format = ("table_type".to_owned(), "ICEBERG".to_owned());
        state.info.properties.insert(format.0, format.1);
        state
    }

    /// The tables behind `lake.v`, as an asset that reads it waits for them, and what is wrong.
    fn look(
        tables: Vec<(&str, TableState)>,
        declared: &[(&str, &str)],
    ) -> (Vec<String>, Vec<String>) {
        let input = input("lake.v".parse().unwrap(), Role::Query, Need::SAME_DAY);
        let graph = Graph {
            assets: vec![asset(0, vec![input])],
            ..Graph::default()
        };
        let tables = tables.into_iter();
        let snapshot = CatalogSnapshot {
            tables: tables
                .map(|(table, state)| (name(table), Some(state)))
                .collect(),
        };
        let declared = declared.iter();
        let declared = declared.map(|(view, table)| (name(view), name(table)));
        let declared: BTreeMap<TableName, TableName> = declared.collect();
        let bases = bases(&snapshot, &declared);
        let graph = graph.resolved(&snapshot, &bases);
        let faults = view_faults(&graph.assets, &snapshot, &bases, &declared);
        let waited = { graph.assets[0].inputs.iter() }.filter(|input| input.need != Need::Table);
        (
            waited.map(|input| input.spec.table.to_string()).collect(),
            faults.into_iter().map(|fault| fault.text).collect(),
        )
    }

    #[test]
    fn a_written_default_in_the_text_of_a_view_stays_the_database_default() {
        let tables = vec![
            ("lake.v", view("SELECT * FROM default.ev JOIN own")),
            ("default.ev", dated()),
            ("lake.own", dated()),
        ];
        let (waited, faults) = look(tables, &[]);
        assert_eq!(waited, ["default.ev", "lake.own"]);
        assert_eq!(faults, Vec::<String>::new());
    }

    #[test]
    fn what_is_not_waited_for_behind_a_view_is_named() {
        let text = "SELECT * FROM a UNION ALL SELECT * FROM ice.lake.b UNION ALL SELECT * FROM c";
        let tables = vec![
            ("lake.v", view(text)),
            ("lake.a", dated()),
            ("lake.c", iceberg()),
        ];
        let (waited, faults) = look(tables, &[]);
        assert_eq!(waited, ["lake.a"]);
        assert_eq!(
            faults,
            [
                "lake.v is a view that also reads what cannot be waited for: `ice.lake.b`, which is in another catalog",
                "lake.v reads lake.c, an Iceberg table: that it exists is all that is waited for",
            ]
        );
        let tables = vec![("lake.v", view(text)), ("lake.a", dated())];
        let (_, faults) = look(tables, &[("lake.v", "lake.a")]);
        assert_eq!(faults, Vec::<String>::new());
    }

    #[test]
    fn views_in_a_circle_and_a_view_declared_as_its_own_table_are_named() {
        let tables = vec![
            ("lake.v", view("SELECT * FROM lake.w")),
            ("lake.w", view("SELECT * FROM lake.v")),
        ];
        let (_, faults) = look(tables, &[]);
        assert_eq!(
            faults,
            [
                "lake.v reads lake.w, which reads lake.v: no table tells its days",
                "lake.w reads lake.v, which reads lake.w: no table tells its days",
            ]
        );
        let tables = vec![("lake.v", view("SELECT * FROM lake.w"))];
        let (_, faults) = look(tables, &[("lake.v", "lake.v")]);
        assert_eq!(
            faults,
            ["`days_from` of lake.v names lake.v itself: no table tells its days"]
        );
    }
}
