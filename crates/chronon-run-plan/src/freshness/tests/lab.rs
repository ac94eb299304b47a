//! A small world of tables whose days land, are rewritten, filled and killed, for the tests.

use super::*;

/// One thing that happens.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// A partition of a source is written, for the first time or again; without rows if not `rows`.
    Land {
        source: usize,
        day: i32,
        rows: bool,
    },
    Edit(usize),
    /// The join is filled in its other flow from now on.
    Flow,
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

pub(super) fn acts() -> impl Strategy<Value = Vec<Act>> {
    let land = (0..2_usize, 0..=LAST, prop::bool::weighted(0.8));
    let act = prop_oneof![
        6 => land.prop_map(|(source, day, rows)| Act::Land { source, day, rows }),
        1 => (0..3_usize).prop_map(Act::Edit),
        1 => Just(Act::Flow),
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
pub(super) type Content = Option<String>;

/// Sources, tables, and the program's own memory of them.
pub(super) struct Lab {
    pub(super) graph: Graph,
    /// What each table's partitions hold, and when they were written.
    pub(super) tables: BTreeMap<TableName, BTreeMap<i32, (Content, i64)>>,
    pub(super) confs: [i64; 3],
    pub(super) clock: i64,
    pub(super) runs: u32,
    /// The real Driver's engine: it drops the days that are filled again, each right before its step.
    pub(super) driver: Option<DriverInput>,
    pub(super) ledger: Ledger,
    pub(super) provenance: Provenance,
    pub(super) _folder: tempfile::TempDir,
}

impl Lab {
    /// `a0` has a window over `s0`; `a1` has a window over `a0` and all of `s1`; `a2`, a join, reads `a1`.
    pub(super) fn new(windows: [i32; 2]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let days = |lo: i32| Need::Days { lo: -lo, hi: 0 };
        let mut assets = vec![
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
        assets[2].id.conf.conf_type = ConfType::Join;
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

    pub(super) fn act(&mut self, act: &Act) {
        match *act {
            Act::Land { source, day, rows } => {
                let content = rows.then(|| format!("v{}", self.clock));
                self.write(&table(&format!("s{source}")), day, content);
            }
            Act::Edit(asset) => self.confs[asset] += 1,
            Act::Flow => self.change_flow(),
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

    pub(super) fn change_flow(&mut self) {
        let mut join = self.graph.assets[2].id.clone();
        join.mode = match join.mode {
            AssetKind::Backfill => AssetKind::Final,
            _ => AssetKind::Backfill,
        };
        self.rename(2, join);
    }

    pub(super) fn rename(&mut self, asset: usize, id: AssetId) {
        self.graph.by_id.remove(&self.graph.assets[asset].id);
        self.graph.by_id.insert(id.clone(), asset);
        self.graph.assets[asset].id = id;
    }

    pub(super) fn write(&mut self, table: &TableName, day: i32, content: Content) {
        self.clock += 1;
        let days = self.tables.entry(table.clone()).or_default();
        days.insert(day, (content, self.clock));
    }

    pub(super) fn snapshot(&self) -> CatalogSnapshot {
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

    pub(super) fn evidence(
        &self,
        wanted: &BTreeMap<Slice, RangeSet>,
    ) -> BTreeMap<Slice, DayEvidence> {
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
                            bytes: None,
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

    pub(super) fn plan(&mut self, stale: bool) -> Plan {
        let all = (0..self.graph.assets.len()).collect();
        self.plan_of(all, stale, None)
    }

    pub(super) fn plan_of(
        &mut self,
        selected: BTreeSet<usize>,
        stale: bool,
        end_ds: Option<Ds>,
    ) -> Plan {
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
        let now = self.evidence(&wanted);
        let ids = self.graph.assets.iter().map(|asset| asset.id.clone());
        history.freshness = Some(Freshness {
            memory,
            before: self.ledger.evidence(&now),
            now,
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

    pub(super) fn begin(&mut self, plan: &Plan) {
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

    pub(super) fn tell(&mut self, what: What) {
        let event = Event { at: 0, what };
        self.ledger.emit(&event);
        Sink::flush(&mut self.ledger);
        (&self.provenance).emit(&event);
    }

    pub(super) fn run(&mut self, stale: bool) {
        let plan = self.plan(stale);
        self.run_plan(&plan, usize::MAX);
    }

    /// Runs the first `steps` of a plan to their end.
    pub(super) fn run_plan(&mut self, plan: &Plan, steps: usize) {
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

    pub(super) fn start(&mut self, step: &Step, stale: bool) {
        if stale && self.driver.is_some() {
            let index = self.graph.find(&step.asset).unwrap();
            let days = self.tables.entry(self.graph.assets[index].table.clone());
            let days = days.or_default();
            days.retain(|n, _| !step.range.contains(day(*n)));
        }
        self.look(step);
    }

    pub(super) fn look(&self, step: &Step) {
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
    pub(super) fn fill(&mut self, step: &Step, days: usize) -> (RangeSet, RangeSet) {
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
    pub(super) fn content(
        &self,
        index: usize,
        n: i32,
        of: &dyn Fn(&TableName, i32) -> Content,
    ) -> Content {
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
    pub(super) fn clean(&self, index: usize) -> BTreeMap<i32, String> {
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

    pub(super) fn filled(&self, index: usize) -> BTreeMap<i32, String> {
        let days = self.tables.get(&self.graph.assets[index].table);
        let days = days.into_iter().flatten();
        days.filter_map(|(n, (content, _))| Some((*n, content.clone()?)))
            .collect()
    }
}

pub(super) static NO_FIRST_DAYS: BTreeMap<TableName, Ds> = BTreeMap::new();

pub(super) fn world_of<'a>(
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

pub(super) fn input(name: &str, need: Need, producer: Option<usize>, gates: bool) -> Input {
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
