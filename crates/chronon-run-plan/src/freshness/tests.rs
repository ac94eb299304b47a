//! Any order of landing, rewriting, editing, running and being killed ends with the tables that one
//! clean backfill makes, and with nothing left to do.

use std::collections::{BTreeMap, BTreeSet};

use chronon_run_core::{
    AssetId, AssetKind, CatalogSnapshot, ConfType, DayEvidence, Ds, Evidence, PartitionRange,
    Partitions, RangeSet, Slice, TableName, TableSpec, TableState,
    event::{Event, Outcome, Sink, StepInfo, What},
};
use chronon_run_ledger::{Ledger, Look, Provenance};
use proptest::prelude::*;

use super::*;
use crate::{
    AssetSettings, Cause, DriverInput, Fill, Graph, History, Plan, Reason, Request, Role, State,
    Step, plan,
};

const LAST: i32 = 8;

fn day(n: i32) -> Ds {
    Ds::from_epoch_days(n)
}

fn table(name: &str) -> TableName {
    TableName::new("db", name).unwrap()
}

/// One thing that happens.
#[derive(Clone, Debug)]
enum Act {
    /// A partition of a source is written, for the first time or again; without rows if not `rows`.
    Land {
        source: usize,
        day: i32,
        rows: bool,
    },
    Edit(usize),
    Run,
    RunStale,
    /// A run of one asset up to a day.
    RunOnly {
        asset: usize,
        stale: bool,
        last: i32,
    },
    /// A run is killed in the step after `steps` others, which has written `days` of its days.
    Killed {
        stale: bool,
        steps: usize,
        days: usize,
    },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let land = (0..2_usize, 0..=LAST, prop::bool::weighted(0.8));
    let act = prop_oneof![
        6 => land.prop_map(|(source, day, rows)| Act::Land { source, day, rows }),
        1 => (0..3_usize).prop_map(Act::Edit),
        3 => Just(Act::Run),
        2 => Just(Act::RunStale),
        2 => (0..3_usize, any::<bool>(), 0..=LAST)
            .prop_map(|(asset, stale, last)| Act::RunOnly { asset, stale, last }),
        2 => (any::<bool>(), 0..3_usize, 0..4_usize)
            .prop_map(|(stale, steps, days)| Act::Killed { stale, steps, days }),
    ];
    prop::collection::vec(act, 1..32)
}

/// What a day holds: enough to tell it from every other way to make it. `None`: no rows.
type Content = Option<String>;

/// Sources, tables, and the program's own memory of them.
struct Lab {
    graph: Graph,
    /// What each table's partitions hold, and when they were written.
    tables: BTreeMap<TableName, BTreeMap<i32, (Content, i64)>>,
    confs: [i64; 3],
    clock: i64,
    runs: u32,
    /// The real Driver's engine: it drops the days that are filled again, each right before its step.
    driver: Option<DriverInput>,
    ledger: Ledger,
    provenance: Provenance,
    _folder: tempfile::TempDir,
}

impl Lab {
    /// `a0` has a window over `s0`; `a1` has a window over `a0` and all of `s1`; `a2` reads `a1`.
    fn new(windows: [i32; 2]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let days = |lo: i32| Need::Days { lo: -lo, hi: 0 };
        let assets = vec![
            asset(0, vec![input("s0", days(windows[0]), None, true)]),
            asset(
                1,
                vec![
                    input("a0", days(windows[1]), Some(0), true),
                    input("s1", Need::Since { hi: 0 }, None, false),
                ],
            ),
            asset(2, vec![input("a1", days(0), Some(1), true)]),
        ];
        let by_id = assets.iter().enumerate();
        let by_id = by_id.map(|(at, asset)| (asset.id.clone(), at)).collect();
        Self {
            graph: Graph {
                formats: std::collections::BTreeMap::new(),
                readers: vec![BTreeSet::new(); assets.len()],
                assets,
                by_id,
            },
            tables: BTreeMap::new(),
            confs: [1; 3],
            clock: 0,
            runs: 0,
            driver: None,
            ledger: Ledger::open(&path),
            provenance: Provenance::open(&path),
            _folder: folder,
        }
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Land { source, day, rows } => {
                let content = rows.then(|| format!("v{}", self.clock));
                self.write(&table(&format!("s{source}")), day, content);
            }
            Act::Edit(asset) => self.confs[asset] += 1,
            Act::Run => self.run(false),
            Act::RunStale => self.run(true),
            Act::RunOnly { asset, stale, last } => {
                let plan = self.plan_of([asset].into(), stale, Some(day(last)));
                self.run_plan(&plan, usize::MAX);
            }
            Act::Killed { stale, steps, days } => {
                let plan = self.plan(stale);
                self.run_plan(&plan, steps);
                if let Some(step) = plan.steps.get(steps) {
                    self.start(step, stale);
                    self.fill(step, days);
                }
                // What the killed process knew is lost with it.
                let path = self._folder.path().join("ledger.db");
                self.provenance = Provenance::open(&path);
            }
        }
    }

    fn write(&mut self, table: &TableName, day: i32, content: Content) {
        self.clock += 1;
        let days = self.tables.entry(table.clone()).or_default();
        days.insert(day, (content, self.clock));
    }

    fn snapshot(&self) -> CatalogSnapshot {
        let state = |days: &BTreeMap<i32, (Content, i64)>| {
            let days = days.keys().map(|&n| day(n)).collect();
            Some(TableState {
                partitions: BTreeMap::from([("ds".to_owned(), Partitions::of_days(days))]),
                ..TableState::default()
            })
        };
        let tables = self.tables.iter();
        CatalogSnapshot {
            tables: tables
                .map(|(name, days)| (name.clone(), state(days)))
                .collect(),
        }
    }

    fn evidence(&self, wanted: &BTreeMap<Slice, RangeSet>) -> BTreeMap<Slice, DayEvidence> {
        let one = |slice: &Slice, days: &RangeSet| {
            let known = self.tables.get(&slice.table);
            let stamp = |ds: Ds| Some(known?.get(&ds.epoch_days())?.1);
            days.iter()
                .map(|ds| {
                    let catalog = stamp(ds);
                    (
                        ds,
                        Evidence {
                            files: None,
                            catalog,
                        },
                    )
                })
                .collect()
        };
        let wanted = wanted.iter();
        wanted
            .map(|(slice, days)| (slice.clone(), one(slice, days)))
            .collect()
    }

    fn plan(&mut self, stale: bool) -> Plan {
        let all = (0..self.graph.assets.len()).collect();
        self.plan_of(all, stale, None)
    }

    fn plan_of(&mut self, selected: BTreeSet<usize>, stale: bool, end_ds: Option<Ds>) -> Plan {
        let snapshot = self.snapshot();
        let mut history = History {
            empty: self.ledger.all_empty_days(),
            ..History::default()
        };
        let (never, refused, only) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (assets, slices) = memory_wanted(&self.graph, &selected);
        let memory = self.ledger.memory(&assets, &slices);
        let depth = if stale {
            Depth::FilledDays
        } else {
            Depth::EmptyDays
        };
        let world = PlanInput {
            driver: self.driver.as_ref(),
            ..world_of(&self.graph, &snapshot, &history, &never, &refused)
        };
        let wanted = evidence_wanted(world, &selected, &memory, depth);
        let ids = self.graph.assets.iter().map(|asset| asset.id.clone());
        history.freshness = Some(Freshness {
            memory,
            now: self.evidence(&wanted),
            confs: ids.zip(self.confs).collect(),
            edits: BTreeMap::new(),
        });
        let settings = |_| AssetSettings {
            step_days: 3,
            lag: 0,
        };
        let request = Request {
            selected,
            start_ds: None,
            end_ds,
            as_of: day(LAST),
            recompute: false,
            stale,
            only: &only,
            settings: &settings,
        };
        let world = PlanInput {
            driver: self.driver.as_ref(),
            ..world_of(&self.graph, &snapshot, &history, &never, &refused)
        };
        plan(world, &request)
    }

    fn begin(&mut self, plan: &Plan) {
        self.runs += 1;
        let steps = plan.steps.iter().map(|step| StepInfo {
            step: step.index,
            asset: step.asset.clone(),
            range: step.range,
        });
        self.tell(What::RunStarted {
            run: self.runs.to_string(),
            steps: steps.collect(),
            jobs: 1,
        });
    }

    fn tell(&mut self, what: What) {
        let event = Event { at: 0, what };
        self.ledger.emit(&event);
        Sink::flush(&mut self.ledger);
        (&self.provenance).emit(&event);
    }

    fn run(&mut self, stale: bool) {
        let plan = self.plan(stale);
        self.run_plan(&plan, usize::MAX);
    }

    /// Runs the first `steps` of a plan to their end.
    fn run_plan(&mut self, plan: &Plan, steps: usize) {
        self.begin(plan);
        for step in plan.steps.iter().take(steps) {
            self.start(step, plan.stale);
            let (filled, empty) = self.fill(step, usize::MAX);
            self.tell(What::AttemptFinished {
                step: step.index,
                attempt: 1,
                outcome: Outcome::Succeeded,
                millis: 0,
                message: None,
                retry_in: None,
                next: None,
                may_write: false,
            });
            self.tell(What::StepFinished {
                step: step.index,
                outcome: Outcome::Succeeded,
                filled,
                empty,
                bad: RangeSet::new(),
                compared: Vec::new(),
                checked: Vec::new(),
            });
        }
    }

    fn start(&mut self, step: &Step, stale: bool) {
        if stale && self.driver.is_some() {
            let index = self.graph.find(&step.asset).unwrap();
            let days = self.tables.entry(self.graph.assets[index].table.clone());
            let days = days.or_default();
            days.retain(|n, _| !step.range.contains(day(*n)));
        }
        self.look(step);
    }

    fn look(&self, step: &Step) {
        let index = self.graph.find(&step.asset).unwrap();
        let asset = &self.graph.assets[index];
        let snapshot = self.snapshot();
        let wanted = inputs_seen(asset, &step.range.into(), &snapshot);
        self.provenance.look(&Look {
            run: &self.runs.to_string(),
            step: step.index,
            attempt: 1,
            asset: &asset.id,
            range: step.range,
            conf: self.confs[index],
            content: "",
            inputs: inputs_digest(asset),
            seen: &self.evidence(&wanted),
            there: &snapshot.days(&asset.table, "ds", &[]),
        });
    }

    /// Fills the first `days` of a step.
    fn fill(&mut self, step: &Step, days: usize) -> (RangeSet, RangeSet) {
        let index = self.graph.find(&step.asset).unwrap();
        let name = self.graph.assets[index].table.clone();
        let (mut filled, mut empty) = (Vec::new(), Vec::new());
        for ds in step.range.iter().take(days) {
            let tables = |table: &TableName, n: i32| self.tables.get(table)?.get(&n)?.0.clone();
            let content = self.content(index, ds.epoch_days(), &tables);
            if content.is_some() {
                filled.push(ds);
                self.write(&name, ds.epoch_days(), content);
            } else {
                empty.push(ds);
                self.tables
                    .entry(name.clone())
                    .or_default()
                    .remove(&ds.epoch_days());
            }
        }
        (filled.into_iter().collect(), empty.into_iter().collect())
    }

    /// A day has rows if its own day of the deciding input has, and holds what is in its windows.
    fn content(&self, index: usize, n: i32, of: &dyn Fn(&TableName, i32) -> Content) -> Content {
        let asset = &self.graph.assets[index];
        of(&asset.inputs[0].spec.table, n)?;
        let mut text = format!("conf{}", self.confs[index]);
        for input in &asset.inputs {
            let first = match input.need {
                Need::Days { lo, .. } => n + lo,
                _ => 0,
            };
            let days = (first..=n).filter_map(|d| Some((d, of(&input.spec.table, d)?)));
            for (d, content) in days {
                text += &format!("[{d} {content}]");
            }
        }
        Some(text)
    }

    /// What one clean backfill would make now.
    fn clean(&self, index: usize) -> BTreeMap<i32, String> {
        let sources = |table: &TableName, n: i32| self.tables.get(table)?.get(&n)?.0.clone();
        let below = index.checked_sub(1).map(|below| self.clean(below));
        let of = |table: &TableName, n: i32| match &below {
            Some(below) if table.name().starts_with('a') => below.get(&n).cloned(),
            _ => sources(table, n),
        };
        (0..=LAST)
            .filter_map(|n| Some((n, self.content(index, n, &of)?)))
            .collect()
    }

    fn filled(&self, index: usize) -> BTreeMap<i32, String> {
        let days = self.tables.get(&self.graph.assets[index].table);
        let days = days.into_iter().flatten();
        days.filter_map(|(n, (content, _))| Some((*n, content.clone()?)))
            .collect()
    }
}

static NO_FIRST_DAYS: BTreeMap<TableName, Ds> = BTreeMap::new();

fn world_of<'a>(
    graph: &'a Graph,
    snapshot: &'a CatalogSnapshot,
    history: &'a History,
    never: &'a BTreeMap<TableName, RangeSet>,
    refused: &'a BTreeMap<AssetId, String>,
) -> PlanInput<'a> {
    PlanInput {
        graph,
        snapshot,
        history,
        never,
        first_ds: &NO_FIRST_DAYS,
        refused,
        driver: None,
    }
}

fn input(name: &str, need: Need, producer: Option<usize>, gates: bool) -> Input {
    Input {
        spec: TableSpec {
            table: table(name),
            sub_partitions: Vec::new(),
        },
        day_column: "ds".to_owned(),
        role: Role::Dependency,
        need,
        from: None,
        until: None,
        gates,
        follows_times: false,
        producer,
    }
}

fn asset(number: usize, inputs: Vec<Input>) -> Asset {
    let name = format!("a{number}");
    Asset {
        id: AssetId::new(ConfType::StagingQuery, &name, AssetKind::Backfill),
        path: name.clone().into(),
        digest: String::new(),
        team: String::new(),
        tags: BTreeSet::new(),
        schedule: None,
        table: table(&name),
        sub_partitions: Vec::new(),
        day_column: Some("ds".to_owned()),
        also_writes: Vec::new(),
        shift: 0,
        fill: Fill::Daily,
        from: Some(day(0)),
        until: None,
        inputs,
        embedded_group_bys: BTreeSet::new(),
        embeds: BTreeSet::new(),
        also_locks: Vec::new(),
        final_table: None,
        family: name,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn any_order_of_acts_ends_with_one_clean_backfill(
        windows in [0..4_i32, 0..3_i32], acts in acts(), driver in any::<bool>(),
    ) {
        let mut lab = Lab::new(windows);
        lab.driver = driver.then(DriverInput::default);
        acts.iter().for_each(|act| lab.act(act));
        for source in 0..2 {
            for n in 0..=LAST {
                if lab.tables.get(&table(&format!("s{source}"))).is_none_or(|days| !days.contains_key(&n)) {
                    lab.act(&Act::Land { source, day: n, rows: true });
                }
            }
        }
        lab.run(false);
        lab.run(true);
        for index in 0..3 {
            prop_assert_eq!(lab.filled(index), lab.clean(index), "a{}", index);
        }
        for stale in [false, true] {
            let plan = lab.plan(stale);
            prop_assert!(plan.steps.is_empty(), "{:?}", plan.assets);
        }
    }
}

/// The reasons of the cells of an asset in a state.
fn reasons(plan: &Plan, asset: usize, state: State) -> Vec<(RangeSet, Reason)> {
    let cells = plan.assets[asset].cells.iter().filter(|c| c.state == state);
    cells.map(|c| (c.range.into(), c.reason.clone())).collect()
}

fn days(first: i32, last: i32) -> RangeSet {
    PartitionRange::new(day(first), day(last)).into()
}

/// A lab whose sources have every day, and whose tables are filled.
fn filled_lab() -> Lab {
    let mut lab = Lab::new([1, 0]);
    for source in 0..2 {
        for n in 0..=LAST {
            let rows = (source, n) != (0, 4);
            lab.act(&Act::Land {
                source,
                day: n,
                rows,
            });
        }
    }
    lab.run(false);
    lab
}

#[test]
fn a_day_without_rows_is_planned_again_once_its_input_changes_with_what_had_none_for_it() {
    let mut lab = filled_lab();
    let plan = lab.plan(false);
    assert!(plan.steps.is_empty());
    assert_eq!(
        reasons(&plan, 0, State::Done)[1],
        (days(4, 4), Reason::KnownEmpty)
    );
    lab.act(&Act::Land {
        source: 0,
        day: 4,
        rows: true,
    });
    let plan = lab.plan(false);
    let changed = ChangedInput {
        table: table("s0"),
        appeared: RangeSet::new(),
        rewritten: days(4, 4),
    };
    let because = vec![Cause::InputsChanged {
        inputs: vec![changed],
    }];
    assert_eq!(
        reasons(&plan, 0, State::Run),
        [(days(4, 4), Reason::EmptyNoMore { because })]
    );
    let of: Vec<RangeSet> = plan.steps.iter().map(|step| step.range.into()).collect();
    assert_eq!(of, [days(4, 4), days(4, 4), days(4, 4)], "all three assets");
}

/// A restated source makes the GroupBy's day stale; once that is filled, alone, the tables that read it are
/// stale, one after another.
#[test]
fn staleness_goes_on_downstream_when_each_table_is_filled_alone() {
    for driver in [None, Some(DriverInput::default())] {
        let mut lab = filled_lab();
        lab.driver = driver;
        let rows = true;
        lab.act(&Act::Land {
            source: 0,
            day: 6,
            rows,
        });
        for asset in 0..3 {
            let stale = lab.plan_of([asset].into(), true, None);
            let of = stale.steps.iter().map(|step| RangeSet::from(step.range));
            // `a0` has a window of two days.
            assert_eq!(of.collect::<Vec<_>>(), [days(6, 7)], "a{asset}");
            let later: Vec<usize> = (asset + 1..3).collect();
            for &later in &later {
                assert!(
                    lab.plan_of([later].into(), true, None).steps.is_empty(),
                    "a{later}"
                );
            }
            lab.run_plan(&stale, usize::MAX);
        }
        assert!(lab.plan(true).steps.is_empty());
    }
}

/// A run that is killed after it has written some days of a step knows, later, how they were made.
#[test]
fn days_of_a_killed_run_are_known() {
    let mut lab = Lab::new([0, 0]);
    for n in 0..=2 {
        lab.act(&Act::Land {
            source: 0,
            day: n,
            rows: true,
        });
    }
    lab.act(&Act::Killed {
        stale: false,
        steps: 0,
        days: 2,
    });
    assert_eq!(lab.filled(0).len(), 2);
    assert!(lab.plan(true).steps.is_empty());
    lab.act(&Act::Land {
        source: 0,
        day: 1,
        rows: true,
    });
    let plan = lab.plan(true);
    let of = plan.steps.iter().map(|step| RangeSet::from(step.range));
    assert_eq!(of.collect::<Vec<_>>(), [days(1, 1)]);
    assert!(
        plan.assets[0].notes.is_empty(),
        "{:?}",
        plan.assets[0].notes
    );
}

/// A day that had no rows, and for which a killed run has written some, has them for what is downstream.
#[test]
fn a_reopened_day_of_a_killed_run_is_read_downstream() {
    let mut lab = Lab::new([0, 0]);
    let land = |rows| Act::Land {
        source: 0,
        day: 1,
        rows,
    };
    lab.act(&Act::Land {
        source: 1,
        day: 1,
        rows: true,
    });
    lab.act(&land(false));
    lab.run(false);
    lab.act(&land(true));
    lab.act(&Act::Killed {
        stale: false,
        steps: 0,
        days: 1,
    });
    let plan = lab.plan(false);
    let of = plan.steps.iter().map(|step| RangeSet::from(step.range));
    assert_eq!(
        of.collect::<Vec<_>>(),
        [days(1, 1), days(1, 1)],
        "{:#?}",
        plan.assets
    );
}

/// A day that lost its rows while a run was killed before it could go on downstream.
#[test]
fn a_day_that_was_emptied_before_a_kill_makes_what_reads_it_stale() {
    let mut lab = Lab::new([0, 0]);
    let land = |source, rows| Act::Land {
        source,
        day: 4,
        rows,
    };
    lab.act(&land(0, true));
    lab.act(&land(1, false));
    lab.run(false);
    assert_eq!(lab.filled(1).len(), 1);
    lab.act(&land(0, false));
    lab.act(&Act::Killed {
        stale: true,
        steps: 0,
        days: 1,
    });
    lab.run(false);
    lab.run(true);
    assert!(lab.filled(1).is_empty() && lab.filled(2).is_empty());
    assert!(lab.plan(true).steps.is_empty());
}

#[test]
fn a_day_is_stale_until_it_is_filled_again_whatever_else_is_filled() {
    let mut lab = filled_lab();
    lab.act(&Act::Edit(2));
    lab.act(&Act::Land {
        source: 0,
        day: 6,
        rows: true,
    });
    for _ in 0..2 {
        let plan = lab.plan(true);
        let of = |asset: usize| -> RangeSet {
            reasons(&plan, asset, State::Run)
                .into_iter()
                .flat_map(|(days, _)| days.ranges().to_vec())
                .collect()
        };
        assert_eq!(of(0), days(6, 7));
        assert_eq!(of(1), days(6, 7));
        assert_eq!(
            of(2),
            days(0, 3).union(&days(5, LAST)),
            "the edit is about all of them"
        );
        lab.run(false);
    }
    lab.run(true);
    assert!(lab.plan(true).steps.is_empty());
}

#[test]
fn days_of_others_are_unknown_and_not_stale() {
    let mut lab = filled_lab();
    lab.write(&table("a2"), 4, Some("by hand".to_owned()));
    let plan = lab.plan(true);
    assert!(plan.steps.is_empty());
    assert_eq!(
        plan.assets[2].notes,
        [crate::Note::Unrecorded { days: days(4, 4) }]
    );
}

#[test]
fn without_a_ledger_nothing_is_stale() {
    let mut lab = filled_lab();
    lab.act(&Act::Edit(0));
    let path = lab._folder.path().join("other.db");
    lab.ledger = Ledger::open(&path);
    assert!(lab.plan(true).steps.is_empty());
    let again = lab.plan(false);
    let ranges = again.steps.iter().map(|step| RangeSet::from(step.range));
    assert_eq!(
        ranges.collect::<Vec<_>>(),
        vec![days(4, 4); 3],
        "days without rows are looked at again"
    );
}

/// A year of 200 assets with windows of up to a year, every day of which is recorded.
#[test]
fn a_year_of_many_assets_is_compared_at_once() {
    let last = 364;
    let year: RangeSet = days(0, last);
    let windows = [1, 7, 30, 365];
    let mut assets: Vec<Asset> = (0..200)
        .map(|number| {
            let lo = -windows[number % windows.len()];
            let sources = [format!("s{}", number % 50), format!("s{}", 50 + number % 7)];
            let inputs = sources.map(|name| input(&name, Need::Days { lo, hi: 0 }, None, true));
            asset(number, inputs.to_vec())
        })
        .collect();
    for asset in &mut assets {
        asset.until = Some(day(last));
    }
    let state = || {
        Some(TableState {
            partitions: BTreeMap::from([("ds".to_owned(), Partitions::of_days(year.clone()))]),
            ..TableState::default()
        })
    };
    let outputs = assets.iter().map(|asset| asset.table.clone());
    let sources = (0..57).map(|number| table(&format!("s{number}")));
    let snapshot = CatalogSnapshot {
        tables: outputs.chain(sources).map(|name| (name, state())).collect(),
    };
    let mut memory = Memory::default();
    for asset in &assets {
        let made = chronon_run_core::MadeDay {
            attempt: 1,
            conf: 1,
            inputs: inputs_digest(asset),
            unfinished: false,
            begun: false,
        };
        let made = year.iter().map(|ds| (ds, made)).collect();
        memory.made.insert(asset.id.clone(), made);
        for input in &asset.inputs {
            let seen = chronon_run_core::SeenDay {
                evidence: Evidence::default(),
                born: 1,
                changed: 1,
            };
            let seen = year.iter().map(|ds| (ds, seen)).collect();
            memory.seen.insert(slice_of(input).to_string(), seen);
        }
    }
    let by_id = assets.iter().enumerate();
    let by_id = by_id.map(|(at, asset)| (asset.id.clone(), at)).collect();
    let graph = Graph {
        formats: Default::default(),
        readers: vec![BTreeSet::new(); assets.len()],
        assets,
        by_id,
    };
    let history = History {
        freshness: Some(Freshness {
            memory,
            ..Freshness::default()
        }),
        ..History::default()
    };
    let (never, refused, only) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let settings = |_| AssetSettings {
        step_days: 30,
        lag: 0,
    };
    let request = Request {
        selected: (0..200).collect(),
        start_ds: None,
        end_ds: None,
        as_of: day(last),
        recompute: false,
        stale: false,
        only: &only,
        settings: &settings,
    };
    let started = std::time::Instant::now();
    let plan = plan(
        world_of(&graph, &snapshot, &history, &never, &refused),
        &request,
    );
    let took = started.elapsed();
    assert!(plan.steps.is_empty());
    println!("200 assets of 365 days compared in {took:?}");
    assert!(took < std::time::Duration::from_secs(10), "{took:?}");
}
