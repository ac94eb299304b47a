//! Staging queries that compare Chronon's macros, which are days of the form `yyyy-MM-dd`, with partitions
//! that are days of another form.

use chronon_run_conf::unconverted_macro;
use chronon_run_core::{AssetKind, ConfType, Diagnostic};
use chronon_run_plan::Asset;
use chronon_run_sql as sql;

use crate::loading::{day_formats::Formats, formats::place, project::Project};

/// Staging queries that compare an ISO day with days of another form.
pub fn findings(context: &Project, formats: &Formats) -> Vec<Diagnostic> {
    let assets = context.graph.assets.iter();
    let found = assets.filter_map(|asset| finding(context, asset, formats));
    found.collect()
}

fn finding(context: &Project, asset: &Asset, formats: &Formats) -> Option<Diagnostic> {
    let found = comparison(context, asset, formats)?;
    let file = context.workspace.repo.join(&asset.path);
    let finding = Diagnostic::warning("macro-format", found.text);
    Some(finding.at(place(&file, &found.written)).hint(found.hint))
}

/// A comparison of an ISO day with days of another form.
pub struct Comparison {
    /// The macro, as the query has it.
    written: String,
    /// What is the matter.
    pub text: String,
    /// What to do about it.
    pub hint: String,
}

/// What a staging query compares wrongly, if it does.
pub fn comparison(context: &Project, asset: &Asset, formats: &Formats) -> Option<Comparison> {
    let is_query = asset.id.conf.conf_type == ConfType::StagingQuery;
    if !is_query || asset.id.mode != AssetKind::Backfill {
        return None;
    }
    let sql::Conf::StagingQuery(query) = context.conf(&asset.id)? else {
        return None;
    };
    let written = unconverted_macro(&query.query)?;
    let mut tables = asset.inputs.iter().map(|input| &input.spec.table);
    let (table, format) = tables.find_map(|table| {
        let (format, _) = formats.get(table)?;
        (!format.is_iso()).then_some((table, format))
    })?;
    let text = format!(
        "{} reads {table}, whose partitions are days of the form {format}, and `{written}` is a day of the form yyyy-MM-dd: a comparison of the two is wrong without an error",
        asset.id.conf.name
    );
    let hint = match format.sorts_as_text() {
        true => format!(
            "write the day in that form, e.g. date_format('{written}', '{format}') in a comparison with {table}"
        ),
        false => format!(
            "days of that form are not in order: compare to_date(<column>, '{format}') of {table}"
        ),
    };
    Some(Comparison {
        written: written.to_owned(),
        text,
        hint,
    })
}
