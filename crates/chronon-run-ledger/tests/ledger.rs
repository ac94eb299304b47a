//! The ledger through its public face, and through damage.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::{fs, path::PathBuf, thread, time::Duration};

use chronon_run_core::{
    AssetId, Ds, PartitionRange, RangeSet,
    event::{CancelReason, Event, Outcome, ProcessId, SkipReason, StepIndex, StepInfo, What},
};
use chronon_run_ledger::{AttemptRecord, Ledger, Pace, RunState};
use rusqlite::Connection;
use tempfile::TempDir;

fn asset(name: &str) -> AssetId {
    format!("group_by/{name}/backfill").parse().unwrap()
}

fn ds(text: &str) -> Ds {
    text.parse().unwrap()
}

fn range(start: &str, end: &str) -> PartitionRange {
    PartitionRange::new(ds(start), ds(end)).unwrap()
}

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("state/ledger.db")
    }

    fn open(&self) -> Ledger {
        Ledger::open(&self.path())
    }

    /// Opens and expects nothing to complain about.
    fn open_well(&self) -> Ledger {
        let mut ledger = self.open();
        assert_eq!(ledger.take_notices(), Vec::<String>::new());
        ledger
    }
}

fn started(run: &str) -> What {
    let names = ["a.one", "a.two", "a.three"];
    let info = |(step, name): (usize, &&str)| StepInfo {
        step: step as StepIndex,
        asset: asset(name),
        range: range("2026-01-01", "2026-01-10"),
    };
    What::RunStarted {
        run: run.to_owned(),
        steps: names.iter().enumerate().map(info).collect(),
        jobs: 2,
    }
}

fn starting(step: StepIndex, attempt: u32) -> What {
    What::AttemptStarting {
        step,
        attempt,
        range: range("2026-01-01", "2026-01-10"),
        argv: vec!["spark-submit".into(), "two words".into()],
        log: format!("logs/{step}-{attempt}.log").into(),
    }
}

fn spawned(step: StepIndex, attempt: u32, process: ProcessId) -> What {
    What::AttemptSpawned {
        step,
        attempt,
        process,
    }
}

fn ended(step: StepIndex, attempt: u32, outcome: Outcome) -> What {
    What::AttemptFinished {
        step,
        attempt,
        message: (!outcome.succeeded()).then(|| "out of luck".to_owned()),
        outcome,
        millis: 1_000,
        retry_in: None,
        next: None,
        may_write: false,
    }
}

fn finished(step: StepIndex, outcome: Outcome, filled: RangeSet, empty: RangeSet) -> What {
    What::StepFinished {
        step,
        outcome,
        filled,
        empty,
        bad: RangeSet::new(),
        compared: Vec::new(),
        checked: Vec::new(),
    }
}

/// Records one event per second of an imaginary clock.
fn tell(ledger: &mut Ledger, events: impl IntoIterator<Item = What>) {
    for (second, what) in events.into_iter().enumerate() {
        let at = 1_000_000 + 1_000 * second as i64;
        ledger.record(&Event { at, what });
    }
    ledger.flush();
}

fn whole_run(run: &str) -> Vec<What> {
    let filled = RangeSet::from(range("2026-01-01", "2026-01-08"));
    let empty = RangeSet::from(range("2026-01-09", "2026-01-10"));
    let failed = Outcome::Failed { code: 3 };
    vec![
        started(run),
        starting(0, 1),
        ended(0, 1, failed.clone()),
        starting(0, 2),
        ended(0, 2, Outcome::Succeeded),
        finished(0, Outcome::Succeeded, filled, empty),
        starting(1, 1),
        ended(1, 1, failed.clone()),
        finished(1, failed, RangeSet::new(), RangeSet::new()),
        What::StepSkipped {
            step: 2,
            reason: SkipReason::Upstream { step: 1 },
        },
        What::Cancelling {
            reason: CancelReason::StepFailed,
        },
        What::RunFinished {
            succeeded: false,
            millis: 9_000,
        },
    ]
}

#[test]
fn a_run_reads_back_as_it_was_told() {
    let place = Place::new();
    tell(&mut place.open_well(), whole_run("r1"));
    let mut ledger = place.open_well();

    let detail = ledger.run("r1").unwrap();
    let record = &detail.record;
    assert_eq!(record.state, RunState::Finished);
    assert_eq!(record.all_succeeded, Some(false));
    assert_eq!(record.cancelled, Some(CancelReason::StepFailed));
    let counts = (
        record.steps,
        record.succeeded,
        record.failed,
        record.skipped,
    );
    assert_eq!(counts, (3, 1, 1, 1));

    let step = &detail.steps[0];
    assert_eq!(step.outcome, Some(Outcome::Succeeded));
    assert_eq!(step.filled.to_string(), "2026-01-01..2026-01-08");
    let outcomes: Vec<_> = step.attempts.iter().map(|a| a.outcome.clone()).collect();
    let failed = Some(Outcome::Failed { code: 3 });
    assert_eq!(outcomes, [failed, Some(Outcome::Succeeded)]);
    assert_eq!(step.attempts[0].message.as_deref(), Some("out of luck"));
    assert_eq!(step.attempts[1].log, PathBuf::from("logs/0-2.log"));
    assert_eq!(step.attempts[1].argv, ["spark-submit", "two words"]);
    let skipped = Some(SkipReason::Upstream { step: 1 });
    assert_eq!(detail.steps[2].skipped, skipped);

    assert_eq!(ledger.runs(10), [detail.record]);
    assert_eq!(ledger.run("r2"), None);
    let attempts = |ledger: &mut Ledger, day| ledger.attempts(&asset("a.one"), day).len();
    assert_eq!(attempts(&mut ledger, None), 2);
    assert_eq!(attempts(&mut ledger, Some(ds("2026-01-10"))), 2);
    assert_eq!(attempts(&mut ledger, Some(ds("2026-01-11"))), 0);
    assert_eq!(ledger.take_notices(), Vec::<String>::new());
}

#[test]
fn an_interrupted_step_is_not_a_failed_one() {
    let place = Place::new();
    let mut ledger = place.open_well();
    let none = || RangeSet::new();
    tell(
        &mut ledger,
        [
            started("r1"),
            finished(0, Outcome::Interrupted, none(), none()),
            finished(1, Outcome::TimedOut, none(), none()),
        ],
    );
    let record = ledger.run("r1").unwrap().record;
    assert_eq!((record.failed, record.interrupted), (1, 1));
}

#[test]
fn an_attempt_that_could_not_be_prepared_is_kept_too() {
    let place = Place::new();
    let mut ledger = place.open_well();
    tell(
        &mut ledger,
        [started("r1"), ended(0, 1, Outcome::NotStarted)],
    );
    let detail = ledger.run("r1").unwrap();
    let attempt = &detail.steps[0].attempts[0];
    assert_eq!(attempt.outcome, Some(Outcome::NotStarted));
    assert_eq!(attempt.started, Some(1_000_000));
    assert_eq!(detail.record.state, RunState::Running, "this process lives");
}

#[test]
fn empty_days_are_known_until_forgotten_or_filled() {
    let place = Place::new();
    let mut ledger = place.open_well();
    tell(&mut ledger, whole_run("r1"));
    let one = asset("a.one");
    assert_eq!(
        ledger.empty_days(&one).to_string(),
        "2026-01-09..2026-01-10"
    );
    assert!(ledger.empty_days(&asset("a.two")).is_empty());
    ledger.forget_empty(&one, range("2026-01-09", "2026-01-09"));
    assert_eq!(ledger.empty_days(&one).to_string(), "2026-01-10");
    let filled = RangeSet::from(range("2026-01-01", "2026-01-10"));
    tell(
        &mut ledger,
        [
            started("r2"),
            finished(0, Outcome::Succeeded, filled, RangeSet::new()),
        ],
    );
    assert!(ledger.empty_days(&one).is_empty());
}

/// The days of one upload, one run after the other, and what the ledger says of it at the end.
fn upload_of(days: &[(&str, Outcome)]) -> Option<Ds> {
    let place = Place::new();
    let mut ledger = place.open_well();
    let upload: AssetId = "group_by/a.one/upload".parse().unwrap();
    for (number, (day, outcome)) in days.iter().enumerate() {
        let began = What::RunStarted {
            run: format!("r{number}"),
            steps: vec![StepInfo {
                step: 0,
                asset: upload.clone(),
                range: range(day, day),
            }],
            jobs: 1,
        };
        tell(
            &mut ledger,
            [began, starting(0, 1), ended(0, 1, outcome.clone())],
        );
    }
    ledger.uploaded().remove(&upload)
}

#[test]
fn an_upload_holds_the_day_of_its_last_attempt_if_that_went_well() {
    let well = |day| (day, Outcome::Succeeded);
    let (first, second) = ("2026-01-01", "2026-01-02");
    assert_eq!(upload_of(&[]), None);
    assert_eq!(upload_of(&[well(first), well(second)]), Some(ds(second)));
    assert_eq!(upload_of(&[well(second), well(first)]), Some(ds(first)));
    assert_eq!(
        upload_of(&[well(first), (second, Outcome::EmptyUpload)]),
        None
    );
    assert_eq!(
        upload_of(&[(first, Outcome::EmptyUpload), well(second)]),
        Some(ds(second))
    );
}

#[test]
fn a_pace_comes_from_what_succeeded() {
    let place = Place::new();
    let mut ledger = place.open_well();
    tell(&mut ledger, whole_run("r1"));
    let pace = Pace {
        steps: 1,
        days: 10,
        millis: 1_000,
    };
    let paces = ledger.paces();
    assert_eq!(
        paces.into_iter().collect::<Vec<_>>(),
        [(asset("a.one"), pace)]
    );
    assert_eq!(pace.estimate(1), Some(1_000));
    assert_eq!(pace.estimate(30), Some(3_000));
    assert_eq!(Pace::default().estimate(30), None);
}

#[test]
fn only_a_dead_run_has_survivors_and_only_of_this_boot() {
    let place = Place::new();
    let mut ledger = place.open_well();
    let process = ProcessId {
        pid: 4_194_000,
        start_ticks: 7,
    };
    tell(
        &mut ledger,
        [
            started("r1"),
            starting(0, 1),
            spawned(0, 1, process),
            What::ApplicationSeen {
                step: 0,
                attempt: 1,
                application: "app-1".to_owned(),
            },
        ],
    );
    tell(
        &mut ledger,
        [
            started("r2"),
            starting(0, 1),
            ended(0, 1, Outcome::Succeeded),
        ],
    );
    assert!(ledger.survivors().is_empty(), "the run is this process");

    let change = |sql: &str| {
        let raw = Connection::open(place.path()).unwrap();
        raw.execute(sql, []).unwrap();
    };
    change("UPDATE runs SET pid_ticks = pid_ticks + 1");
    let survivors = ledger.survivors();
    assert_eq!(survivors.len(), 1);
    assert_eq!(survivors[0].process, Some(process));
    assert_eq!(ledger.run("r1").unwrap().record.state, RunState::Crashed);

    change("UPDATE runs SET boot = 'another'");
    let survivors = ledger.survivors();
    assert_eq!(survivors[0].process, None, "its number means nothing now");

    // What cannot be ended on its cluster is found again.
    let mut refuse = |_: &AttemptRecord| Err("nobody answers".to_owned());
    let found = ledger.end_survivors(Duration::ZERO, 5, &mut refuse);
    assert_eq!(found[0].may_write.as_deref(), Some("nobody answers"));
    assert_eq!(ledger.survivors().len(), 1);
    let found = ledger.end_survivors(Duration::ZERO, 6, &mut |_| Ok(()));
    assert_eq!(found[0].attempt.application.as_deref(), Some("app-1"));
    assert!(ledger.survivors().is_empty());
    let attempt = &ledger.run("r1").unwrap().steps[0].attempts[0];
    assert!(attempt.abandoned && attempt.finished == Some(5) && attempt.outcome.is_none());
}

#[test]
fn pruning_keeps_the_newest_and_names_the_rest() {
    let place = Place::new();
    let mut ledger = place.open_well();
    for run in ["r1", "r2", "r3"] {
        tell(&mut ledger, whole_run(run));
    }
    assert_eq!(ledger.prune(1, |_| ()).unwrap(), ["r2", "r1"]);
    let left: Vec<_> = ledger.runs(9).into_iter().map(|run| run.run).collect();
    assert_eq!(left, ["r3"]);
    assert!(!ledger.empty_days(&asset("a.one")).is_empty());
}

#[test]
fn what_a_later_run_needs_is_not_pruned() {
    let place = Place::new();
    let mut ledger = place.open_well();
    let began = |run: &str, asset: &str| What::RunStarted {
        run: run.to_owned(),
        steps: vec![StepInfo {
            step: 0,
            asset: asset.parse().unwrap(),
            range: range("2026-01-01", "2026-01-02"),
        }],
        jobs: 1,
    };
    let over = || What::RunFinished {
        succeeded: true,
        millis: 1,
    };
    let (upload, join) = ("group_by/a.one/upload", "join/a.two/backfill");
    for (run, asset, outcome) in [
        ("r1", upload, Outcome::Succeeded),
        ("r2", join, Outcome::Failed { code: 1 }),
        ("r3", join, Outcome::Succeeded),
        ("r4", join, Outcome::TimedOut),
    ] {
        tell(
            &mut ledger,
            [
                began(run, asset),
                starting(0, 1),
                ended(0, 1, outcome),
                over(),
            ],
        );
    }
    let join: AssetId = join.parse().unwrap();
    assert_eq!(ledger.last_attempts()[&join].run, "r4");
    assert!(ledger.failing_days().contains_key(&join));
    assert_eq!(ledger.prune(1, |_| ()).unwrap(), ["r3", "r2"]);
    assert_eq!(ledger.uploaded().len(), 1);
}

#[test]
fn the_order_of_runs_survives_a_clock_that_jumps_back() {
    let place = Place::new();
    let mut ledger = place.open_well();
    for (run, at) in [("r1", 1_000_000), ("r0", 10)] {
        for what in whole_run(run) {
            ledger.record(&Event { at, what });
        }
        ledger.flush();
    }
    let runs: Vec<_> = ledger.runs(9).into_iter().map(|run| run.run).collect();
    assert_eq!(runs, ["r0", "r1"]);
    assert_eq!(ledger.prune(1, |_| ()).unwrap(), ["r1"]);
}

#[test]
fn a_newer_file_is_read_and_never_written() {
    let place = Place::new();
    tell(&mut place.open_well(), whole_run("r1"));
    let raw = Connection::open(place.path()).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    let mut ledger = place.open();
    assert!(ledger.take_notices()[0].contains("newer version"));
    tell(&mut ledger, whole_run("r2"));
    ledger.forget_empty(&asset("a.one"), range("2026-01-01", "2026-01-10"));
    assert_eq!(ledger.prune(0, |run| panic!("{run}")), None);
    assert_eq!(ledger.runs(9).len(), 1);
    assert!(!ledger.empty_days(&asset("a.one")).is_empty());
}

#[test]
fn a_file_cut_at_any_point_never_stops_a_run() {
    let place = Place::new();
    tell(&mut place.open_well(), whole_run("r1"));
    let whole = fs::read(place.path()).unwrap();
    assert!(whole.len() > 20_000);
    let cuts = (0..whole.len())
        .step_by(1_777)
        .chain([1, 50, 99, whole.len() - 1]);
    for cut in cuts {
        let place = Place::new();
        fs::create_dir_all(place.path().parent().unwrap()).unwrap();
        fs::write(place.path(), &whole[..cut]).unwrap();
        let mut ledger = place.open();
        tell(&mut ledger, whole_run("r2"));
        assert!(ledger.run("r2").is_some(), "cut at {cut}");
        let told = ledger
            .take_notices()
            .iter()
            .any(|notice| notice.contains("damaged"));
        // Less than a page may be missing of what no row needs.
        let whole = ledger.run("r1").is_some();
        assert!(told || whole || cut == 0, "cut at {cut}");
    }
}

#[test]
fn garbage_is_moved_aside_when_it_is_met() {
    let place = Place::new();
    let mut ledger = place.open_well();
    let events = whole_run("r1");
    tell(&mut ledger, events[..4].to_vec());
    drop(ledger);
    let mut bytes = fs::read(place.path()).unwrap();
    for byte in &mut bytes[4096..] {
        *byte = 0xa5;
    }
    fs::write(place.path(), bytes).unwrap();
    let mut ledger = place.open();
    tell(&mut ledger, events);
    assert_eq!(ledger.take_notices().len(), 1);
    assert_eq!(ledger.run("r1").unwrap().record.succeeded, 1);
    let aside = fs::read_dir(place.path().parent().unwrap()).unwrap();
    let aside = aside.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().contains("damaged")
    });
    assert!(aside.count() >= 1);
}

#[test]
fn a_place_that_cannot_be_written_costs_one_notice() {
    let place = Place::new();
    fs::write(place.folder.path().join("state"), "a file, not a folder").unwrap();
    let mut ledger = place.open();
    tell(&mut ledger, whole_run("r1"));
    assert!(ledger.runs(9).is_empty() && ledger.survivors().is_empty());
    let notices = ledger.take_notices();
    assert_eq!(notices.len(), 1, "{notices:?}");
}

/// Another member of the group who may write the folder could make this user write any file.
#[test]
fn a_link_in_place_of_the_file_is_not_followed() {
    let place = Place::new();
    let folder = place.folder.path();
    let (state, elsewhere) = (folder.join("state"), folder.join("elsewhere"));
    fs::create_dir(&state).unwrap();
    std::os::unix::fs::symlink(&elsewhere, place.path()).unwrap();
    let mut ledger = place.open();
    tell(&mut ledger, whole_run("r1"));
    let notices = ledger.take_notices();
    let said = "it is a link, which is not followed";
    assert!(notices[0].contains(said), "{notices:?}");
    assert!(!elsewhere.exists());

    // The folder itself may be one.
    fs::remove_file(place.path()).unwrap();
    let linked = folder.join("linked");
    std::os::unix::fs::symlink(&state, &linked).unwrap();
    let mut ledger = Ledger::open(&linked.join("ledger.db"));
    tell(&mut ledger, whole_run("r1"));
    assert_eq!(ledger.take_notices(), [""; 0]);
    assert!(place.path().exists());
}

#[test]
fn two_writers_at_once_lose_nothing() {
    let place = Place::new();
    thread::scope(|scope| {
        for writer in 0..2 {
            let place = &place;
            scope.spawn(move || {
                let mut ledger = place.open();
                for number in 0..20 {
                    tell(&mut ledger, whole_run(&format!("r{writer}-{number}")));
                }
                assert_eq!(ledger.take_notices(), Vec::<String>::new());
            });
        }
    });
    let runs = place.open_well().runs(100);
    assert_eq!(runs.len(), 40);
    assert!(
        runs.iter()
            .all(|run| run.state == RunState::Finished && run.succeeded == 1)
    );
}

#[test]
fn a_copy_of_a_ledger_has_its_own_logs_and_nothing_that_runs() {
    let place = Place::new();
    let mut ledger = place.open_well();
    let me = chronon_run_process::identify(std::process::id());
    tell(
        &mut ledger,
        [started("r1"), starting(0, 1), spawned(0, 1, me)],
    );
    let log = |ledger: &mut Ledger| ledger.run("r1").unwrap().steps[0].attempts[0].log.clone();
    let before = log(&mut ledger);
    let root = before.parent().unwrap().to_owned();
    let other = (root.with_file_name("never"), "/nowhere".into());
    ledger.relocate(&[other, (root, "/copy/of it".into())]);
    let after = log(&mut ledger);
    assert_eq!(
        after,
        std::path::Path::new("/copy/of it").join(before.file_name().unwrap())
    );
    ledger.disown_running(2_000_000);
    assert!(ledger.survivors().is_empty());
    let detail = ledger.run("r1").unwrap();
    assert_eq!(detail.record.state, RunState::Crashed);
    assert_eq!(detail.steps[0].attempts[0].finished, Some(2_000_000));
}
