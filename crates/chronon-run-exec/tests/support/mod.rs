//! Steps that are shell scripts, and a catalog that is a folder: a day is there if
//! `<folder>/out/<step>/<ds>` exists.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
    time::Instant,
};

use chronon_run_core::{
    CommandLine, PartitionRange, RangeSet,
    event::{Event, Outcome, StepIndex, What},
};
use chronon_run_exec::{
    Backoff, Control, Job, OnFailure, Options, Retries, Sink, StageProgress, Summary, Task,
    TaskKind, Verdict, Work, WorkError, run,
};
use crossbeam_channel::Receiver;

/// Writes every day of the step.
pub(crate) const FILL: &str = r#"for ds in $DAYS; do : > "$OUT/$ds"; done"#;

pub(crate) fn range() -> PartitionRange {
    PartitionRange::new("2026-01-01".parse().unwrap(), "2026-01-03".parse().unwrap()).unwrap()
}

pub(crate) fn job(step: StepIndex, after: &[StepIndex]) -> Job {
    Job {
        step,
        asset: format!("group_by/a.g{step}/backfill").parse().unwrap(),
        range: range(),
        family: format!("f{step}"),
        after: after.to_vec(),
        once_over: Vec::new(),
        timeout: None,
        retries: Retries::NONE,
        bisect: false,
        more_memory: false,
        cost: 0,
    }
}

pub(crate) fn retrying(mut job: Job, count: u32) -> Job {
    job.retries = Retries {
        count,
        backoff: Backoff::Fixed(Duration::from_millis(1)),
    };
    job
}

pub(crate) struct Scripts {
    pub(crate) folder: PathBuf,
    pub(crate) scripts: BTreeMap<StepIndex, String>,
    /// Steps that run in a shared shell.
    pub(crate) in_session: bool,
    /// How often the catalog is out of reach before it answers.
    pub(crate) unreachable: AtomicU32,
}

impl Scripts {
    pub(crate) fn new(folder: &Path, scripts: &[(StepIndex, &str)]) -> Self {
        let scripts = scripts
            .iter()
            .map(|(step, text)| (*step, (*text).to_owned()));
        Self {
            folder: folder.to_owned(),
            scripts: scripts.collect(),
            in_session: false,
            unreachable: AtomicU32::new(0),
        }
    }

    pub(crate) fn log(&self, step: StepIndex, attempt: u32) -> String {
        let path = self.folder.join(format!("logs/{step}-{attempt}.log"));
        fs::read_to_string(path).unwrap()
    }
}

impl Work for Scripts {
    fn prepare(&self, job: &Job, attempt: u32) -> Result<Task, WorkError> {
        let step = job.step;
        let script = self.scripts.get(&step).map_or(FILL, String::as_str);
        assert!(script != "panic", "as the test wished");
        if script == "refuse" {
            return Err(WorkError::Failed("as the test wished".to_owned()));
        }
        let out = self.folder.join(format!("out/{step}"));
        fs::create_dir_all(&out).unwrap();
        let days: Vec<String> = job.range.iter().map(|ds| ds.to_string()).collect();
        let variables = [
            ("OUT", out.display().to_string()),
            ("DAYS", days.join(" ")),
            ("FOLDER", self.folder.display().to_string()),
            ("PIPE", self.folder.join("pipe").display().to_string()),
            ("STEP", step.to_string()),
            ("ATTEMPT", attempt.to_string()),
        ];
        let log = self.folder.join(format!("logs/{step}-{attempt}.log"));
        if self.in_session {
            let settings = variables
                .iter()
                .map(|(name, value)| format!("{name}='{value}'\n"));
            let settings: String = settings.collect();
            let command = CommandLine {
                argv: vec!["sh".to_owned()],
                ..CommandLine::default()
            };
            let kind = TaskKind::Session {
                key: "sh".to_owned(),
                log: self.folder.join("session.log"),
                input: format!("{settings}{script}\necho \"END $?\"\n"),
                marker: Arc::new(|line| Some(line.strip_prefix("END ")? == "0")),
            };
            return Ok(Task { command, log, kind });
        }
        let env = variables.map(|(name, value)| (name.to_owned(), Some(value)));
        let command = CommandLine {
            argv: vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()],
            env: env.to_vec(),
            cwd: None,
        };
        let kind = TaskKind::Process;
        Ok(Task { command, log, kind })
    }

    fn verify(&self, job: &Job) -> Result<Verdict, WorkError> {
        let left = self.unreachable.load(Ordering::SeqCst);
        if left > 0 {
            self.unreachable.store(left - 1, Ordering::SeqCst);
            return Err(WorkError::Unavailable("no answer".to_owned()));
        }
        let out = self.folder.join(format!("out/{}", job.step));
        let there = |ds: &_| out.join(format!("{ds}")).exists();
        let filled: RangeSet = job.range.iter().filter(there).collect();
        Ok(Verdict {
            missing: RangeSet::from(job.range).minus(&filled),
            filled,
            ..Verdict::default()
        })
    }

    fn explain(&self, _: &Job, log: &Path, _: &Outcome) -> Option<String> {
        fs::read_to_string(log)
            .ok()?
            .lines()
            .last()
            .map(str::to_owned)
    }

    fn progress(&self, line: &str) -> Option<StageProgress> {
        let (done, total) = line.strip_prefix("progress ")?.split_once('/')?;
        Some(StageProgress {
            done: done.parse().ok()?,
            total: total.parse().ok()?,
            stage: "stage".to_owned(),
        })
    }
}

pub(crate) fn options(jobs: u32) -> Options<'static> {
    Options {
        run: "test".to_owned(),
        jobs,
        on_failure: OnFailure::Continue,
        grace: Duration::from_millis(200),
        patience: Duration::from_secs(60),
        pause: Duration::from_millis(1),
        stuck_after: Duration::from_secs(3_600),
        watchdog: None,
    }
}

/// Runs and returns what happened, and how it ended.
pub(crate) fn run_all(
    jobs: &[Job],
    work: &Scripts,
    options: &Options<'_>,
    mut also: impl FnMut(&Event),
    control: &Receiver<Control>,
) -> (Vec<What>, Summary) {
    let events = Mutex::new(Vec::new());
    let mut collect = |event: &Event| events.lock().unwrap().push(event.what.clone());
    let sinks: &mut [&mut dyn Sink] = &mut [&mut collect, &mut also];
    let summary = run(jobs, work, options, sinks, control).unwrap();
    (events.into_inner().unwrap(), summary)
}

/// The same without anything special.
pub(crate) fn simply(jobs: &[Job], work: &Scripts, options: &Options<'_>) -> (Vec<What>, Summary) {
    run_all(jobs, work, options, |_| {}, &crossbeam_channel::never())
}

/// How the attempts of a step ended.
pub(crate) fn outcomes(events: &[What], wanted: StepIndex) -> Vec<Outcome> {
    let outcome = |what: &What| match what {
        What::AttemptFinished { step, outcome, .. } if *step == wanted => Some(outcome.clone()),
        _ => None,
    };
    events.iter().filter_map(outcome).collect()
}

/// A named pipe that only children hold open for writing. Never waits for one to do so.
pub(crate) struct Pipe(File);

impl Pipe {
    /// Makes `<folder>/pipe`, unless it is there, and opens it for reading.
    pub(crate) fn new(folder: &Path) -> Self {
        let path = folder.join("pipe");
        if !path.exists() {
            assert!(
                Command::new("mkfifo")
                    .arg(&path)
                    .status()
                    .unwrap()
                    .success()
            );
        }
        const O_NONBLOCK: i32 = 0o4000;
        let mut options = OpenOptions::new();
        Self(
            options
                .read(true)
                .custom_flags(O_NONBLOCK)
                .open(path)
                .unwrap(),
        )
    }

    /// Waits until children have written `bytes` bytes, or `over` says that no more will come.
    pub(crate) fn read(&mut self, bytes: usize, mut over: impl FnMut() -> bool) {
        let mut left = bytes;
        self.poll("no file was written", |got| {
            left = left.saturating_sub(got.unwrap_or(0));
            left == 0 || over()
        });
    }

    /// Waits until no child holds the pipe any more.
    pub(crate) fn ends(&mut self) {
        self.poll("a process survived", |got| got == Some(0));
    }

    /// `Some(0)` is the end, `None` is silence.
    fn poll(&mut self, trouble: &str, mut done: impl FnMut(Option<usize>) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let got = match self.0.read(&mut [0; 1]) {
                Ok(bytes) => Some(bytes),
                Err(error) if error.kind() == ErrorKind::WouldBlock => None,
                Err(error) => panic!("{error}"),
            };
            if done(got) {
                return;
            }
            assert!(Instant::now() < deadline, "{trouble}");
            if got.is_none_or(|bytes| bytes == 0) {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
}
