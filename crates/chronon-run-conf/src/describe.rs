//! What the columns of a conf's tables hold, in words, as far as the conf tells.

use std::collections::BTreeMap;

use crate::{
    derive::OfflinePart,
    model::{Aggregation, Derivation, GroupBy, Join, LabelPart, Query, Source},
    view::AnyConf,
};

/// Column → what it holds.
type Described = BTreeMap<String, String>;

/// What each column of the tables of a conf holds, as far as the conf tells: keys, aggregations, selected
/// expressions, derivations. A staging query is SQL, and tells nothing.
#[must_use]
pub fn described_columns(conf: AnyConf<'_>) -> BTreeMap<String, String> {
    match conf {
        AnyConf::GroupBy(conf) => described_group_by(conf),
        AnyConf::Join(conf) => described_join(conf),
        AnyConf::StagingQuery(_) => Described::new(),
    }
}

fn described_group_by(conf: &GroupBy) -> Described {
    let mut found = values(conf);
    derive(&mut found, conf.derivations.as_deref());
    let keys = conf.key_columns.iter();
    found.extend(keys.map(|key| (key.clone(), "key".to_owned())));
    found
}

/// The columns of a GroupBy but its keys.
fn values(conf: &GroupBy) -> Described {
    match &conf.aggregations {
        Some(aggregations) => aggregations.iter().flat_map(aggregated).collect(),
        None => conf.sources.first().map(selected).unwrap_or_default(),
    }
}

/// Each output column of an aggregation.
fn aggregated(aggregation: &Aggregation) -> impl Iterator<Item = (String, String)> + '_ {
    aggregation.columns().map(|column| {
        let over = match column.window {
            Some(window) => format!("over {window}"),
            None => "over all time".to_owned(),
        };
        let by = column
            .bucket
            .map_or(String::new(), |bucket| format!(" by {bucket}"));
        let (word, input) = (aggregation.word(), &aggregation.input_column);
        (column.name, format!("{word} of {input} {over}{by}"))
    })
}

/// The selected columns of a source, with expressions other than their names.
fn selected(source: &Source) -> Described {
    let query: &Query = source.query();
    let selects = query.selects.iter().flatten();
    selects
        .map(|(name, expression)| match name == expression {
            true => (name.clone(), "column of the source".to_owned()),
            false => (name.clone(), expression.clone()),
        })
        .collect()
}

fn derive(found: &mut Described, derivations: Option<&[Derivation]>) {
    let derivations = derivations.unwrap_or_default();
    let named = derivations
        .iter()
        .filter(|derivation| derivation.name != "*");
    let texts: Vec<(String, String)> = named
        .map(|derivation| {
            let renamed = found.get(derivation.expression.trim());
            let text = match renamed {
                Some(text) => format!("{text} ({})", derivation.expression.trim()),
                None => derivation.expression.clone(),
            };
            (derivation.name.clone(), text)
        })
        .collect();
    found.extend(texts);
}

fn described_join(conf: &Join) -> Described {
    let mut found: Described = conf
        .offline_parts()
        .flat_map(|part| part_columns(&part))
        .collect();
    derive(&mut found, conf.derivations.as_deref());
    found.extend(conf.label_part.iter().flat_map(labels));
    let left = selected(&conf.left).into_iter();
    found.extend(left.map(|(name, text)| (name, format!("left side: {text}"))));
    if let Some(time) = &conf.left.query().time_column {
        found.insert("ts".to_owned(), format!("left side, time: {time}"));
    }
    for part in conf.offline_parts() {
        for (key, left) in part.left_columns() {
            let group_by = &part.group_by.meta_data.name;
            let text = format!("key {key} of {group_by}");
            let known = found.entry(left.to_owned()).or_default();
            match known.is_empty() {
                true => *known = text,
                false => *known = format!("{known}; {text}"),
            }
        }
    }
    found
}

/// The columns that a part adds to the left side.
fn part_columns(part: &OfflinePart<'_>) -> Vec<(String, String)> {
    let mut columns = values(part.group_by);
    derive(&mut columns, part.group_by.derivations.as_deref());
    let group_by = &part.group_by.meta_data.name;
    let columns = columns.into_iter().map(|(name, text)| {
        let prefixed = format!("{}_{name}", part.full_prefix);
        (prefixed, format!("{text}, of {group_by}"))
    });
    columns.collect()
}

fn labels(label: &LabelPart) -> Vec<(String, String)> {
    let parts = label.labels.iter();
    let columns = parts.flat_map(|part| {
        let group_by = &part.group_by.meta_data.name;
        values(&part.group_by).into_iter().map(move |(name, text)| {
            let prefixed = format!("label_{}_{name}", part.full_prefix());
            (prefixed, format!("label: {text}, of {group_by}"))
        })
    });
    columns.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn group_by() -> serde_json::Value {
        json!({
            "metaData": {"name": "shop.spend.v1", "outputNamespace": "out"},
            "sources": [{"events": {"table": "lake.orders", "query": {"selects": {"customer": "buyer"}}}}],
            "keyColumns": ["customer"],
            "aggregations": [
                {"inputColumn": "amount", "operation": 7, "windows": [{"length": 7, "timeUnit": 1}]},
                {"inputColumn": "amount", "operation": 13, "argMap": {"k": "3"}, "buckets": ["shop"]},
            ],
        })
    }

    fn text<'a>(found: &'a Described, column: &str) -> &'a str {
        found.get(column).map_or("", String::as_str)
    }

    #[test]
    fn features_of_a_group_by_say_what_they_aggregate() {
        let mut conf = group_by();
        conf["derivations"] = json!([
            {"name": "*", "expression": "*"},
            {"name": "half", "expression": "amount_sum_7d / 2"},
            {"name": "week", "expression": "amount_sum_7d"},
        ]);
        let conf: GroupBy = serde_json::from_value(conf).unwrap();
        let found = described_columns(AnyConf::GroupBy(&conf));
        assert_eq!(text(&found, "customer"), "key");
        assert_eq!(text(&found, "amount_sum_7d"), "sum of amount over 7d");
        assert_eq!(
            text(&found, "amount_last3_by_shop"),
            "last3 of amount over all time by shop"
        );
        assert_eq!(text(&found, "half"), "amount_sum_7d / 2");
        assert_eq!(
            text(&found, "week"),
            "sum of amount over 7d (amount_sum_7d)"
        );
    }

    #[test]
    fn columns_of_a_join_name_their_group_by() {
        let conf: Join = serde_json::from_value(json!({
            "metaData": {"name": "shop.panel.v1", "outputNamespace": "out"},
            "left": {"events": {"table": "lake.visits", "query": {
                "selects": {"visitor": "user_id", "page": "page"}, "timeColumn": "at"}}},
            "joinParts": [{"groupBy": group_by(), "prefix": "p", "keyMapping": {"visitor": "customer"}}],
        }))
        .unwrap();
        let found = described_columns(AnyConf::Join(&conf));
        assert_eq!(
            text(&found, "visitor"),
            "left side: user_id; key customer of shop.spend.v1"
        );
        assert_eq!(text(&found, "page"), "left side: column of the source");
        assert_eq!(text(&found, "ts"), "left side, time: at");
        assert_eq!(
            text(&found, "p_shop_spend_v1_amount_sum_7d"),
            "sum of amount over 7d, of shop.spend.v1"
        );
    }
}
