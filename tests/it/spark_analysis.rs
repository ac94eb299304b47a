//! `check --analyze` on a real Spark: every seeded mistake is found at its field, and nothing else.

use std::fs;

use serde_json::{Value, json};

use crate::{corpus::Corpus, support::Workspace};

/// Base conf, pointer, new value, field of the finding, part of its message, part of its hint.
type Mistake = (
    &'static str,
    &'static str,
    Value,
    &'static str,
    &'static str,
    &'static str,
);

const QUERY: &str = "staging_queries/stays/bookings.confirmed_v1";
const SESSIONS: &str = "staging_queries/stays/sessions.daily_v1";
const REVIEWS: &str = "group_bys/stays/reviews.listing_v1";
const JOIN: &str = "joins/stays/sessions.v1";

fn read(workspace: &Workspace, conf: &str) -> Value {
    serde_json::from_str(&workspace.read(&format!("production/{conf}"))).unwrap()
}

/// The query of a conf with a replacement.
fn query(workspace: &Workspace, conf: &str, from: &str, to: &str) -> Value {
    let conf = read(workspace, conf);
    let text = conf["query"].as_str().unwrap();
    assert!(text.contains(from), "{text}");
    json!(text.replacen(from, to, 1))
}

fn mistakes(workspace: &Workspace) -> Vec<Mistake> {
    let edited = |from, to| query(workspace, QUERY, from, to);
    let sessions = |from, to| query(workspace, SESSIONS, from, to);
    let events = "/sources/0/events/query";
    let at = |field: &'static str| -> &'static str {
        Box::leak(format!("{events}{field}").into_boxed_str())
    };
    let derived = |expression: &str| json!([{"name": "*", "expression": "*"}, {"name": "derived", "expression": expression}]);
    vec![
        (
            QUERY,
            "/query",
            edited("pay,", "pai,"),
            "query",
            "line 9: there is no column `pai`",
            "did you mean `pay`?",
        ),
        (
            QUERY,
            "/query",
            edited("price / nights", "rond(price / nights, 2)"),
            "query",
            "line 8: there is no function `rond`",
            "did you mean `round`?",
        ),
        (
            QUERY,
            "/query",
            edited("WHERE ds", "WERE ds"),
            "query",
            "Syntax error at or near",
            "",
        ),
        (
            QUERY,
            "/query",
            edited(
                "FROM lake.bookings",
                "FROM lake.bookings b JOIN lake.searches s",
            ),
            "query",
            "is ambiguous",
            "",
        ),
        (
            QUERY,
            "/query",
            edited("status = 'confirmed'", "status = array('confirmed')"),
            "query",
            "data type mismatch",
            "",
        ),
        (
            QUERY,
            "/query",
            edited("lake.bookings", "lake.booking"),
            "query",
            "there is no table `lake.booking`",
            "did you mean `lake.bookings`?",
        ),
        (
            SESSIONS,
            "/query",
            sessions("GROUP BY guest_id, ds", "GROUP BY guest_id"),
            "query",
            "'ds' is neither present in the group by",
            "",
        ),
        (
            REVIEWS,
            at("/selects/words"),
            json!("word"),
            "sources[0].events.query.selects.words",
            "there is no column `word`",
            "did you mean `words`?",
        ),
        (
            REVIEWS,
            at("/selects/lang"),
            json!("COALESC(lang, '')"),
            "sources[0].events.query.selects.lang",
            "there is no function `COALESC`",
            "did you mean `coalesce`?",
        ),
        (
            REVIEWS,
            at("/wheres"),
            json!(["score"]),
            "sources[0].events.query.wheres[0]",
            "data type mismatch",
            "",
        ),
        (
            REVIEWS,
            at("/timeColumn"),
            json!("review_tss"),
            "sources[0].events.query.timeColumn",
            "there is no column `review_tss`",
            "did you mean `review_ts`?",
        ),
        (
            REVIEWS,
            at("/timeColumn"),
            json!("lang"),
            "sources[0].events.query.timeColumn",
            "the time is of type string",
            "AS BIGINT",
        ),
        (
            REVIEWS,
            at("/partitionColumn"),
            json!("dtt"),
            "sources[0].events.query.partitionColumn",
            "there is no column `dtt`",
            "did you mean `dt`?",
        ),
        (
            REVIEWS,
            "/aggregations/0/inputColumn",
            json!("scor"),
            "aggregations[0].inputColumn",
            "`scor` is not among the selects",
            "did you mean `score`?",
        ),
        (
            REVIEWS,
            "/aggregations/0/inputColumn",
            json!("lang"),
            "aggregations[0].inputColumn",
            "Average needs numbers, and `lang` is of type string",
            "CAST",
        ),
        (
            REVIEWS,
            "/keyColumns",
            json!(["listing"]),
            "keyColumns[0]",
            "`listing` is not among the selects",
            "did you mean `listing_id`?",
        ),
        (
            REVIEWS,
            "/derivations",
            derived("score_average_7 + 1"),
            "derivations[1].expression",
            "there is no column `score_average_7`",
            "did you mean `score_average_7d`?",
        ),
        (
            JOIN,
            "/left/events/query/selects/cheapest",
            json!("cheapst"),
            "left.events.query.selects.cheapest",
            "there is no column `cheapst`",
            "did you mean `cheapest`?",
        ),
        (
            JOIN,
            "/left/events/query/selects/visitor",
            json!("CAST(guest_id AS STRING)"),
            "joinParts[0].keyMapping",
            "of the left side is of type string, and `guest_id` of the GroupBy of type bigint",
            "CAST",
        ),
        (
            JOIN,
            "/joinParts/0/keyMapping",
            json!({"visitr": "guest_id"}),
            "joinParts[0].keyMapping",
            "`visitr` is not among the selects",
            "did you mean `visitor`?",
        ),
        (
            JOIN,
            "/derivations",
            derived("visitor_stays_bookings_guest_v1_price_maxx * 2"),
            "derivations[1].expression",
            "there is no column",
            "did you mean `visitor_stays_bookings_guest_v1_price_max`?",
        ),
    ]
}

/// Writes the conf with the mistake under another name.
fn seed(workspace: &Workspace, index: usize, mistake: &Mistake) -> String {
    let (base, pointer, value, ..) = mistake;
    let mut conf = read(workspace, base);
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = if parent.is_empty() {
        &mut conf
    } else {
        conf.pointer_mut(parent).unwrap()
    };
    parent[key] = value.clone();
    let path = format!("{base}_mistake{index}");
    let name = path.split_once('/').unwrap().1.replace('/', ".");
    conf["metaData"]["name"] = json!(name);
    workspace.write(
        &format!("production/{path}"),
        &serde_json::to_string_pretty(&conf).unwrap(),
    );
    name
}

#[test]
fn every_seeded_mistake_is_found_at_its_field_and_nothing_else() {
    let workspace = Workspace::example("stays");
    let mistakes = mistakes(&workspace);
    assert!(mistakes.len() >= 20);
    let names: Vec<String> = mistakes
        .iter()
        .enumerate()
        .map(|(index, mistake)| seed(&workspace, index, mistake))
        .collect();
    let screen = workspace.run(&["check", "--analyze", "--output", "json"]);
    assert_eq!(screen.code, Some(2), "{}", screen.text());
    let all: Value = serde_json::from_str(&screen.stdout).unwrap();
    let found: Vec<&Value> = all["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["code"] == "analysis")
        .collect();
    let about = |name: &str| {
        let start = format!("{name}: ");
        let found = found
            .iter()
            .filter(|finding| finding["message"].as_str().unwrap().starts_with(&start));
        found.copied().collect::<Vec<_>>()
    };
    let mut wrong = Vec::new();
    for (name, (base, _, _, field, message, hint)) in names.iter().zip(&mistakes) {
        let of_conf = about(name);
        let is_expected = |finding: &&&Value| {
            let text = finding["message"].as_str().unwrap();
            text.starts_with(&format!("{name}: `{field}`"))
                && text.contains(message)
                && finding["hint"].as_str().unwrap_or_default().contains(hint)
        };
        let expected = of_conf.iter().filter(is_expected).count();
        let in_file = of_conf.iter().all(|finding| {
            finding["path"].as_str().unwrap().contains(base) && finding["line"].as_u64() > Some(1)
        });
        if expected != 1 || of_conf.len() != 1 || !in_file {
            wrong.push(format!("{name} {field} {message}: {of_conf:#?}"));
        }
    }
    let others: Vec<_> = found
        .iter()
        .filter(|finding| {
            !names.iter().any(|name| {
                finding["message"]
                    .as_str()
                    .unwrap()
                    .starts_with(&format!("{name}: "))
            })
        })
        .collect();
    assert!(
        wrong.is_empty() && others.is_empty(),
        "{}\nothers: {others:#?}",
        wrong.join("\n")
    );
    // Nothing was filled, and nothing is kept.
    let left = fs::read_dir(workspace.path(".chronon-run/samples")).unwrap();
    assert_eq!(left.count(), 0);
}

/// What Chronon's own Driver has filled has no mistakes: the three corpora in one workspace and one session.
#[test]
fn nothing_is_found_in_the_corpora() {
    let all = Workspace::empty();
    let mut teams = serde_json::Map::new();
    let mut settings = String::new();
    // Seeds of tables that were prepared by hand lie there.
    let mut folders = Vec::new();
    for name in ["a", "b", "c"] {
        let corpus = Corpus::open(name);
        all.add(&corpus.root.join("repo/production"), "production");
        let workspace = corpus.workspace();
        let own: Value = serde_json::from_str(&workspace.read("teams.json")).unwrap();
        teams.extend(own.as_object().unwrap().clone());
        let toml = workspace.read("workspace.toml");
        let tables = toml.find("[seeds.").unwrap();
        settings += &toml[if settings.is_empty() { 0 } else { tables }..];
        folders.push(workspace);
    }
    all.write("teams.json", &Value::Object(teams).to_string());
    all.write("workspace.toml", &settings);
    let listed = all.run(&["ls", "--output", "json"]).expect(0).stdout;
    let document: Value = serde_json::from_str(&listed).unwrap();
    let assets = document["assets"].as_array().unwrap();
    assert!(assets.len() >= 75, "{listed}");
    let found = all.run(&["check", "--analyze", "--output", "json"]);
    let found = found.expect(0).stdout;
    assert!(!found.contains("\"analysis\""), "{found}");
}
