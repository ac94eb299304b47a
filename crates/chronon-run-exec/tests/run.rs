//! Whole runs with well and badly behaved children.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::{fs, thread, time::Duration};

use chronon_run_core::event::{CancelReason, Event, Outcome, SkipReason, What};
use chronon_run_exec::{Control, Job, JobsError, OnFailure, Options, Sink, Summary, run};
use support::{FILL, Pipe, Scripts, job, options, outcomes, range, retrying, run_all, simply};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn summary(succeeded: &[u32], failed: &[u32], skipped: &[u32]) -> Summary {
    Summary {
        succeeded: succeeded.to_vec(),
        failed: failed.to_vec(),
        skipped: skipped.to_vec(),
        cancelled: None,
    }
}

#[test]
fn a_step_is_told_from_start_to_end() {
    let folder = folder();
    let work = Scripts::new(folder.path(), &[]);
    let (events, summary) = simply(&[job(7, &[])], &work, &options(2));
    assert!(summary.all_succeeded());
    let kind = |what: &What| serde_json::to_value(what).unwrap()["event"].to_string();
    let kinds: Vec<_> = events.iter().map(kind).collect();
    let wanted = [
        "run_started",
        "attempt_starting",
        "attempt_spawned",
        "attempt_finished",
        "step_finished",
        "run_finished",
    ];
    assert_eq!(kinds, wanted.map(|kind| format!("{kind:?}")));
    let What::StepFinished { filled, .. } = &events[4] else {
        panic!("{events:?}");
    };
    assert_eq!(*filled, range().into());
}

#[test]
fn no_run_without_jobs_hangs_and_impossible_jobs_start_nothing() {
    let folder = folder();
    let work = Scripts::new(folder.path(), &[]);
    let (events, summary) = simply(&[], &work, &options(2));
    assert!(summary.all_succeeded());
    assert_eq!(events.len(), 2);
    let silence = crossbeam_channel::never();
    let result = run(&[job(0, &[0])], &work, &options(2), &mut [], &silence);
    assert_eq!(result, Err(JobsError::OutOfOrder { step: 0, after: 0 }));
}

#[test]
fn every_sink_knows_of_an_attempt_before_its_child_exists() {
    struct Strict {
        unflushed: bool,
        folder: std::path::PathBuf,
    }
    impl Sink for Strict {
        fn emit(&mut self, event: &Event) {
            self.unflushed = true;
            if let What::AttemptStarting { step, .. } = event.what {
                assert!(!self.folder.join(format!("ran-{step}")).exists());
            }
        }
        fn flush(&mut self) {
            self.unflushed = false;
        }
    }
    let folder = folder();
    let scripts: Vec<(u32, String)> = (0..20)
        .map(|step| (step, format!(r#": > "$FOLDER/ran-$STEP"; {FILL}"#)))
        .collect();
    let scripts: Vec<(u32, &str)> = scripts
        .iter()
        .map(|(step, text)| (*step, &**text))
        .collect();
    let work = Scripts::new(folder.path(), &scripts);
    let jobs: Vec<Job> = (0..20).map(|step| job(step, &[])).collect();
    let mut strict = Strict {
        unflushed: false,
        folder: folder.path().to_owned(),
    };
    let mut last = None;
    let mut remember = |event: &Event| last = Some(event.what.clone());
    let sinks: &mut [&mut dyn Sink] = &mut [&mut strict, &mut remember];
    let silence = crossbeam_channel::never();
    let summary = run(&jobs, &work, &options(2), sinks, &silence).unwrap();
    assert!(summary.all_succeeded());
    assert!(!strict.unflushed);
    assert!(matches!(
        last,
        Some(What::RunFinished {
            succeeded: true,
            ..
        })
    ));
}

#[test]
fn exit_code_0_proves_nothing() {
    let folder = folder();
    let partly = r#": > "$OUT/2026-01-02""#;
    let work = Scripts::new(folder.path(), &[(0, "true"), (1, partly)]);
    let jobs = [job(0, &[]), job(1, &[])];
    let (events, result) = simply(&jobs, &work, &options(1));
    assert_eq!(result, summary(&[], &[0, 1], &[]));
    let missing = range().into();
    assert_eq!(outcomes(&events, 0), [Outcome::OutputMissing { missing }]);
    let days: Vec<_> = range().iter().collect();
    let missing = [days[0], days[2]].into_iter().collect();
    assert_eq!(outcomes(&events, 1), [Outcome::OutputPartial { missing }]);
}

#[test]
fn a_failed_attempt_is_made_again_and_keeps_its_log() {
    let folder = folder();
    let script = format!(r#"echo "attempt $ATTEMPT"; [ "$ATTEMPT" = 3 ] || exit 5; {FILL}"#);
    let work = Scripts::new(folder.path(), &[(0, &script)]);
    let jobs = [retrying(job(0, &[]), 2)];
    let (events, result) = simply(&jobs, &work, &options(1));
    let failed = Outcome::Failed { code: 5 };
    assert_eq!(
        outcomes(&events, 0),
        [failed.clone(), failed, Outcome::Succeeded]
    );
    assert!(result.all_succeeded());
    assert_eq!(work.log(0, 1), "attempt 1\n");
    assert_eq!(work.log(0, 3), "attempt 3\n");
    let messages: Vec<_> = events
        .iter()
        .filter_map(|what| match what {
            What::AttemptFinished {
                message, retry_in, ..
            } => Some((message.as_deref(), *retry_in)),
            _ => None,
        })
        .collect();
    let wanted = [
        (Some("attempt 1"), Some(1)),
        (Some("attempt 2"), Some(1)),
        (None, None),
    ];
    assert_eq!(messages, wanted);
}

#[test]
fn retries_end() {
    let folder = folder();
    let work = Scripts::new(folder.path(), &[(0, "exit 1"), (1, "refuse")]);
    let jobs = [retrying(job(0, &[]), 1), retrying(job(1, &[]), 3)];
    let (events, result) = simply(&jobs, &work, &options(2));
    assert_eq!(outcomes(&events, 0).len(), 2);
    assert_eq!(
        outcomes(&events, 1),
        [Outcome::NotStarted],
        "pointless to repeat"
    );
    assert_eq!(result.failed.len(), 2);
}

#[test]
fn what_needs_a_failed_step_is_skipped_and_the_rest_goes_on() {
    let folder = folder();
    let work = Scripts::new(folder.path(), &[(0, "exit 1")]);
    let jobs = [job(0, &[]), job(1, &[0]), job(2, &[1]), job(3, &[])];
    let (events, result) = simply(&jobs, &work, &options(1));
    assert_eq!(result, summary(&[3], &[0], &[1, 2]));
    let reason = SkipReason::Upstream { step: 0 };
    assert!(events.contains(&What::StepSkipped { step: 2, reason }));
}

#[test]
fn or_nothing_new_starts() {
    let folder = folder();
    let work = Scripts::new(folder.path(), &[(0, "exit 1")]);
    let stop = Options {
        on_failure: OnFailure::Stop,
        ..options(1)
    };
    let (_, result) = simply(&[job(0, &[]), job(1, &[0]), job(2, &[])], &work, &stop);
    let mut wanted = summary(&[], &[0], &[1, 2]);
    wanted.cancelled = Some(CancelReason::StepFailed);
    assert_eq!(result, wanted);
    let (_, result) = simply(&[job(0, &[])], &work, &stop);
    assert_eq!(result.cancelled, None, "there was nothing left to stop");
}

/// Ignores TERM and has a grandchild that does so too; both hold the pipe.
const STUBBORN: &str = r#"exec 9>"$PIPE"; trap '' TERM; printf x >&9
    (trap '' TERM; while :; do sleep 1; done) & while :; do sleep 1; done"#;

#[test]
fn a_step_that_takes_too_long_is_ended_with_its_grandchildren() {
    let folder = folder();
    let mut pipe = Pipe::new(folder.path());
    let work = Scripts::new(folder.path(), &[(0, STUBBORN)]);
    let mut late = job(0, &[]);
    late.timeout = Some(Duration::from_millis(300));
    let (events, _) = simply(&[late, job(1, &[])], &work, &options(1));
    assert_eq!(outcomes(&events, 0), [Outcome::TimedOut]);
    assert_eq!(outcomes(&events, 1), [Outcome::Succeeded]);
    pipe.ends();
}

/// Sends `words` when the first child says that it runs.
fn interrupted(script: &str, words: &[Control], grace: Duration) -> (Vec<What>, Summary) {
    let folder = folder();
    let mut pipe = Pipe::new(folder.path());
    let work = Scripts::new(folder.path(), &[(0, script)]);
    let (sender, control) = crossbeam_channel::unbounded();
    let jobs = [retrying(job(0, &[]), 5), job(1, &[]), job(2, &[0])];
    let options = Options {
        grace,
        ..options(1)
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            pipe.read(1, || false);
            words.iter().for_each(|word| sender.send(*word).unwrap());
            pipe.ends();
        });
        run_all(&jobs, &work, &options, |_| {}, &control)
    })
}

#[test]
fn ctrl_c_ends_what_runs_and_starts_nothing() {
    let polite = r#"exec 9>"$PIPE"; printf x >&9; while :; do sleep 0.01; done"#;
    let stop = Control::Stop(CancelReason::Terminate);
    let (events, result) = interrupted(polite, &[stop], Duration::from_secs(60));
    assert_eq!(outcomes(&events, 0), [Outcome::Interrupted]);
    let mut wanted = summary(&[], &[0], &[2, 1]);
    wanted.cancelled = Some(CancelReason::Terminate);
    assert_eq!(result, wanted);
}

/// The message of the attempt at the first step.
fn message(events: &[What]) -> Option<&str> {
    events.iter().find_map(|what| match what {
        What::AttemptFinished { message, .. } => message.as_deref(),
        _ => None,
    })
}

#[test]
fn the_cause_of_a_failure_is_told_and_an_interrupted_attempt_has_none() {
    let line = "IllegalStateException: Cannot call methods on a stopped SparkContext.";
    let folder = folder();
    let failing = format!("echo '{line}'; exit 1");
    let work = Scripts::new(folder.path(), &[(0, &failing)]);
    let (events, _) = simply(&[job(0, &[])], &work, &options(1));
    assert_eq!(message(&events), Some(line));
    let polite = format!(
        r#"exec 9>"$PIPE"; trap 'echo "{line}"; exit 1' TERM; printf x >&9
        while :; do sleep 0.01; done"#
    );
    let stop = Control::Stop(CancelReason::Interrupt);
    let (events, _) = interrupted(&polite, &[stop], Duration::from_secs(60));
    assert_eq!(outcomes(&events, 0), [Outcome::Interrupted]);
    assert_eq!(message(&events), None);
}

#[test]
fn the_grace_ends_and_a_second_ctrl_c_does_not_wait_for_it() {
    let stop = Control::Stop(CancelReason::Interrupt);
    let (events, _) = interrupted(STUBBORN, &[stop], Duration::from_millis(100));
    assert_eq!(outcomes(&events, 0), [Outcome::Interrupted]);
    let (events, _) = interrupted(STUBBORN, &[stop, Control::Kill], Duration::from_secs(600));
    assert_eq!(outcomes(&events, 0), [Outcome::Interrupted]);
}

#[test]
fn a_catalog_that_comes_back_is_waited_for() {
    let folder = folder();
    let mut work = Scripts::new(folder.path(), &[]);
    work.unreachable = 5.into();
    let (events, result) = simply(&[job(0, &[])], &work, &options(1));
    assert!(result.all_succeeded());
    let notices = events
        .iter()
        .filter(|what| matches!(what, What::Notice { .. }));
    assert_eq!(notices.count(), 1, "said once");
}

#[test]
fn a_catalog_that_stays_away_is_an_outcome_of_its_own() {
    let folder = folder();
    let mut work = Scripts::new(folder.path(), &[]);
    work.unreachable = u32::MAX.into();
    let impatient = Options {
        patience: Duration::from_millis(20),
        ..options(1)
    };
    let (events, _) = simply(&[job(0, &[])], &work, &impatient);
    assert_eq!(outcomes(&events, 0), [Outcome::Unverified]);
}

#[test]
fn neither_a_panicking_step_nor_a_panicking_sink_stops_a_run() {
    let folder = folder();
    let work = Scripts::new(folder.path(), &[(0, "panic")]);
    let jobs = [job(0, &[]), job(1, &[]), job(2, &[])];
    let mut seen = 0;
    let panicking = |_: &Event| {
        seen += 1;
        panic!("as the test wished");
    };
    let silence = crossbeam_channel::never();
    let (events, result) = run_all(&jobs, &work, &options(1), panicking, &silence);
    assert_eq!(seen, 1);
    assert_eq!(outcomes(&events, 0), [Outcome::Panicked]);
    assert_eq!(result, summary(&[1, 2], &[0], &[]));
}

#[test]
fn progress_is_told_while_a_step_runs() {
    let folder = folder();
    let script = format!(
        r#"printf 'progress 1/4\rprogress 3/4\r'; until [ -e "$FOLDER/seen" ]; do sleep 0.01; done; {FILL}"#
    );
    let work = Scripts::new(folder.path(), &[(0, &script)]);
    let seen = folder.path().join("seen");
    let watch = |event: &Event| {
        if let What::Progress { done, total, .. } = event.what {
            assert_eq!((done, total), (3, 4));
            fs::write(&seen, "").unwrap();
        }
    };
    let silence = crossbeam_channel::never();
    let (_, result) = run_all(&[job(0, &[])], &work, &options(1), watch, &silence);
    assert!(result.all_succeeded());
}

fn processes(events: &[What]) -> Vec<u32> {
    let process = |what: &What| match what {
        What::AttemptSpawned { process, .. } => Some(process.pid),
        _ => None,
    };
    events.iter().filter_map(process).collect()
}

#[test]
fn tasks_of_a_session_share_a_process_until_it_dies() {
    let folder = folder();
    let dying = format!(r#"if [ "$ATTEMPT" = 1 ]; then echo dying; exit 9; fi; {FILL}"#);
    let scripts = [(1, "echo wrong; false"), (3, dying.as_str())];
    let mut work = Scripts::new(folder.path(), &scripts);
    work.in_session = true;
    let jobs: Vec<Job> = (0..5)
        .map(|step| retrying(job(step, &[]), u32::from(step == 3)))
        .collect();
    let (events, result) = simply(&jobs, &work, &options(1));
    assert_eq!(result.failed, [1]);
    assert_eq!(result.succeeded.len(), 4);
    assert_eq!(outcomes(&events, 1), [Outcome::Failed { code: 1 }]);
    assert_eq!(
        outcomes(&events, 3),
        [Outcome::Failed { code: 9 }, Outcome::Succeeded]
    );
    assert_eq!(work.log(1, 1), "wrong\n");
    assert_eq!(work.log(3, 1), "dying\n");
    let pids = processes(&events);
    assert_eq!(pids.len(), 6);
    assert!(pids[..4].iter().all(|pid| *pid == pids[0]), "{pids:?}");
    assert!(pids[4] != pids[0] && pids[4] == pids[5], "{pids:?}");
}

#[test]
fn a_session_that_hangs_is_ended_by_the_timeout() {
    let folder = folder();
    let mut pipe = Pipe::new(folder.path());
    let mut work = Scripts::new(folder.path(), &[(0, STUBBORN)]);
    work.in_session = true;
    let mut late = job(0, &[]);
    late.timeout = Some(Duration::from_millis(300));
    let (events, _) = simply(&[late, job(1, &[])], &work, &options(1));
    assert_eq!(outcomes(&events, 0), [Outcome::TimedOut]);
    assert_eq!(outcomes(&events, 1), [Outcome::Succeeded]);
    pipe.ends();
}
