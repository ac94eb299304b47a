//! The real binary in a pseudo-terminal that is its controlling terminal: what a person sees and
//! presses. The screen is what a terminal makes of its output (`vt100`).

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use chronon_run_testkit::scripted::Fault;
use portable_pty::{CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

use crate::{
    scripted::{hangs, no_process_is_left},
    staged::{Staged, all_days, fault_of},
    support::wait_until,
};

const ROWS: u16 = 24;

/// A terminal with a program in it.
pub(crate) struct Terminal {
    master: Option<Box<dyn MasterPty + Send>>,
    writer: Option<Box<dyn Write + Send>>,
    child: Box<dyn portable_pty::Child + Send + Sync>,
    parser: Arc<Mutex<vt100::Parser>>,
    raw: Arc<Mutex<Vec<u8>>>,
    /// When it wrote, the beginning first.
    written: Arc<Mutex<Vec<Instant>>>,
    closed: Arc<AtomicBool>,
}

impl Terminal {
    /// Starts `command` in a terminal of so many columns.
    pub(crate) fn open(command: &Command, columns: u16) -> Self {
        Self::open_with(command, (ROWS, columns), &[])
    }

    /// The same with so many rows.
    pub(crate) fn open_high(command: &Command, rows: u16, columns: u16) -> Self {
        Self::open_with(command, (rows, columns), &[])
    }

    /// The same, with variables of its own.
    fn open_with(
        command: &Command,
        (rows, columns): (u16, u16),
        env: &[(&str, Option<&str>)],
    ) -> Self {
        let mut builder = CommandBuilder::new(command.get_program());
        builder.args(command.get_args());
        if let Some(folder) = command.get_current_dir() {
            builder.cwd(folder);
        }
        builder.env("TERM", "xterm-256color");
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => builder.env(name, value),
                None => builder.env_remove(name),
            }
        }
        builder.env_remove("NO_COLOR");
        builder.env_remove("COLUMNS");
        for (name, value) in env {
            match value {
                Some(value) => builder.env(name, value),
                None => builder.env_remove(name),
            }
        }
        let pair = native_pty_system().openpty(size(rows, columns)).unwrap();
        let child = pair.slave.spawn_command(builder).unwrap();
        drop(pair.slave);
        let parser = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 1_000)));
        let raw = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::new(Mutex::new(vec![Instant::now()]));
        let times = Arc::clone(&written);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (screen, bytes) = (Arc::clone(&parser), Arc::clone(&raw));
        let closed = Arc::new(AtomicBool::new(false));
        let is_closed = Arc::clone(&closed);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The end of a terminal is an error.
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if is_closed.load(Ordering::SeqCst) {
                    // The window is gone once its last descriptor is: this one.
                    return;
                }
                let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
                times.push(Instant::now());
                drop(times);
                let lock = |_| unreachable!("no reader panics");
                screen.lock().unwrap_or_else(lock).process(&buffer[..count]);
                let mut bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
                bytes.extend_from_slice(&buffer[..count]);
            }
        });
        Self {
            writer: Some(pair.master.take_writer().unwrap()),
            master: Some(pair.master),
            child,
            parser,
            raw,
            written,
            closed,
        }
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &str) {
        let writer = self.writer.as_mut().unwrap();
        writer.write_all(keys.as_bytes()).unwrap();
        writer.flush().unwrap();
    }

    /// What is on the screen now.
    pub(crate) fn screen(&self) -> String {
        let parser = self.parser.lock().unwrap_or_else(PoisonError::into_inner);
        parser.screen().contents()
    }

    /// The same, one string for each row, without what is empty.
    pub(crate) fn rows(&self) -> Vec<String> {
        let parser = self.parser.lock().unwrap_or_else(PoisonError::into_inner);
        let columns = parser.screen().size().1;
        let rows = parser.screen().rows(0, columns);
        let rows = rows.map(|row| row.trim_end().to_owned());
        rows.filter(|row| !row.is_empty()).collect()
    }

    /// Everything that was written so far.
    pub(crate) fn raw(&self) -> String {
        let raw = self.raw.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&raw).into_owned()
    }

    /// How long it wrote nothing, longest first.
    pub(crate) fn pauses(&self) -> Vec<Duration> {
        let times = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pauses: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        pauses.sort_by(|a, b| b.cmp(a));
        pauses
    }

    /// Waits until the screen shows `text`.
    pub(crate) fn shows(&self, text: &str) {
        wait_until(&format!("{text:?} on the screen"), || {
            self.screen().contains(text)
        });
    }

    /// Changes the size of the window.
    fn resize(&self, columns: u16) {
        let mut parser = self.parser.lock().unwrap_or_else(PoisonError::into_inner);
        parser.screen_mut().set_size(ROWS, columns);
        self.master
            .as_ref()
            .unwrap()
            .resize(size(ROWS, columns))
            .unwrap();
    }

    /// Closes the window of a program that is writing to it.
    fn close(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        self.writer = None;
        self.master = None;
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("it ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    pub(crate) fn exits_with(&mut self, code: u32) {
        let status = self.wait();
        assert_eq!(status.exit_code(), code, "{status:?}\n{}", self.screen());
    }
}

fn size(rows: u16, columns: u16) -> PtySize {
    PtySize {
        rows,
        cols: columns,
        pixel_width: 0,
        pixel_height: 0,
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

const CTRL_C: &str = "\x03";
const CTRL_Z: &str = "\x1a";

/// A workspace in which `alone` hangs until it is ended.
fn hanging() -> Staged {
    let staged = Staged::chain();
    staged.faults(&[hangs("alone")]);
    staged
}

/// Waits until the hanging step runs.
fn runs(staged: &Staged) {
    wait_until("it runs", || staged.started().contains(&"alone".to_owned()));
}

#[test]
fn ctrl_c_once_ends_in_order_and_twice_at_once() {
    let staged = hanging();
    let mut terminal = Terminal::open(&staged.command(&["materialize"]), 80);
    runs(&staged);
    terminal.press(CTRL_C);
    terminal.exits_with(130);
    let raw = terminal.raw();
    assert!(raw.contains("interrupted; once more to kill"), "{raw:?}");
    no_process_is_left(&staged);

    // With a grace of an hour only the second one helps.
    staged
        .workspace
        .edit("workspace.toml", "grace = \"1s\"", "grace = \"1h\"");
    staged.faults(&[Fault {
        ignore_term: true,
        ..hangs("alone")
    }]);
    let before = staged.started().len();
    let mut terminal = Terminal::open(&staged.command(&["materialize"]), 80);
    wait_until("it runs again", || staged.started().len() > before);
    terminal.press(CTRL_C);
    // It may have scrolled away if the step has ended already.
    wait_until("it is interrupted", || {
        terminal.raw().contains("once more to kill at once")
    });
    terminal.press(CTRL_C);
    terminal.exits_with(130);
    no_process_is_left(&staged);
}

#[test]
fn a_closed_window_ends_the_run_in_order() {
    let staged = hanging();
    let mut terminal = Terminal::open(&staged.command(&["materialize"]), 80);
    runs(&staged);
    terminal.close();
    assert_eq!(terminal.wait().exit_code(), 129);
    no_process_is_left(&staged);
    let screen = staged.run(&["runs"]).expect(0);
    assert!(screen.stdout.contains("stopped"), "{}", screen.stdout);
}

#[test]
fn a_run_that_is_stopped_by_ctrl_z_goes_on_with_fg() {
    let staged = hanging();
    let command = staged.command(&["materialize"]);
    let mut shell = Command::new("bash");
    shell.args(["--norc", "--noprofile", "-i"]);
    shell.current_dir(staged.workspace.root());
    for (name, value) in command.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    shell.env_remove("SPARK_HOME").env("PS1", "$ ");
    let mut terminal = Terminal::open(&shell, 80);
    terminal.press(&format!(
        "{} materialize; echo code $?\r",
        env!("CARGO_BIN_EXE_chronon-run")
    ));
    runs(&staged);
    terminal.press(CTRL_Z);
    terminal.shows("Stopped");
    terminal.press("clear; fg\r");
    // The bars of before `clear` are no sign that it goes on.
    wait_until("it goes on", || {
        let screen = terminal.screen();
        screen.contains("steps") && !screen.contains("Stopped")
    });
    terminal.press(CTRL_C);
    terminal.shows("interrupted: filled");
    terminal.press("echo over $?\r");
    terminal.shows("over ");
    terminal.press("exit\r");
    terminal.wait();
    no_process_is_left(&staged);
}

#[test]
fn bars_fit_every_width_and_follow_the_window() {
    let staged = hanging();
    let mut terminal = Terminal::open(&staged.command(&["materialize"]), 40);
    runs(&staged);
    for columns in [40, 80, 200, 60, 40] {
        terminal.resize(columns);
        terminal.shows("/4 steps");
        wait_until("every line fits", || {
            let screen = terminal.screen();
            let mut live = screen.lines().filter(|line| line.contains("/4 steps"));
            live.next().is_some() && screen.contains("team.alone")
        });
    }
    terminal.press(CTRL_C);
    terminal.exits_with(130);
    // In colours, and nothing is left of the bars.
    assert!(terminal.raw().contains("\x1b[3"), "{}", terminal.raw());
    no_process_is_left(&staged);
}

#[test]
fn a_dumb_terminal_gets_plain_lines_and_no_color_no_colours() {
    let staged = Staged::chain();
    let command = staged.command(&["materialize", "--jobs", "1"]);
    let mut terminal = Terminal::open_with(&command, (ROWS, 80), &[("TERM", Some("dumb"))]);
    terminal.exits_with(0);
    terminal.shows("filled");
    assert!(!terminal.raw().contains('\x1b'), "{:?}", terminal.raw());

    let staged = Staged::chain();
    let command = staged.command(&["materialize", "--jobs", "1"]);
    let mut terminal = Terminal::open_with(&command, (ROWS, 80), &[("NO_COLOR", Some("1"))]);
    terminal.exits_with(0);
    terminal.shows("filled");
    let raw = terminal.raw();
    assert!(
        !raw.contains("\x1b[3") && !raw.contains("\x1b[1m"),
        "{raw:?}"
    );
}

#[test]
fn the_option_decides_of_colours_before_variables_and_terminals() {
    let staged = Staged::chain();
    let command = staged.command(&["materialize", "--color", "never", "--jobs", "1"]);
    let mut terminal = Terminal::open(&command, 80);
    terminal.exits_with(0);
    terminal.shows("filled");
    let raw = terminal.raw();
    assert!(
        !raw.contains("\x1b[3") && !raw.contains("\x1b[1m"),
        "{raw:?}"
    );

    // Without a terminal, and with NO_COLOR.
    staged
        .workspace
        .edit("workspace.toml", "retries = 0", "retris = 0");
    let coloured = |args: &[&str]| {
        let output = staged.command(args).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8(text).unwrap().contains('\x1b')
    };
    assert!(coloured(&["--color", "always", "ls"]));
    assert!(coloured(&["ls", "--color=always"]));
    assert!(coloured(&["plan", "--color", "always", "--help"]));
    assert!(coloured(&["--color", "always", "no-such-command"]));
    for args in [
        &["ls"][..],
        &["--color", "auto", "ls"],
        &["--color", "always", "ls", "--color", "never"],
        &["--color", "sometimes", "ls"],
        &["--help"],
    ] {
        assert!(!coloured(args), "{args:?}");
    }
}

#[test]
fn a_reader_that_leaves_and_a_closed_stdin_change_nothing() {
    let staged = Staged::chain();
    let program = env!("CARGO_BIN_EXE_chronon-run");
    let shell = |staged: &Staged, script: String| {
        let command = staged.command(&[]);
        let mut shell = Command::new("bash");
        shell.args(["-o", "pipefail", "-c", &script]);
        shell.current_dir(staged.workspace.root());
        for (name, value) in command.get_envs() {
            shell.env(name, value.unwrap_or_default());
        }
        shell.env_remove("SPARK_HOME");
        shell
    };
    let mut terminal = Terminal::open(&shell(&staged, format!("{program} plan | head -1")), 80);
    terminal.exits_with(0);
    let both = format!("{program} materialize 2>&1 | head -1");
    let mut terminal = Terminal::open(&shell(&staged, both), 80);
    terminal.exits_with(0);
    assert_eq!(staged.filled("three"), all_days());

    let staged = Staged::chain();
    let closed = format!("{program} materialize <&-");
    let mut terminal = Terminal::open(&shell(&staged, closed), 80);
    terminal.exits_with(0);
    assert_eq!(staged.filled("three"), all_days());
}

/// A pager that ends with the next line that is typed, and not by Ctrl-C.
const PAGER: &str =
    "sh -c 'trap \"\" INT; echo in the pager of $LESSCHARSET; cat; read key < /dev/tty; echo left'";

#[test]
fn what_is_longer_than_the_screen_goes_to_the_pager() {
    let staged = Staged::chain();
    let open = |words: &[&str], rows: u16, pager: &str| {
        let command = staged.command(words);
        Terminal::open_with(&command, (rows, 80), &[("PAGER", Some(pager))])
    };
    let mut terminal = open(&["plan"], 4, PAGER);
    let is_told = || terminal.raw().contains("in the pager of utf-8");
    wait_until("the pager runs", is_told);
    terminal.press(CTRL_C);
    thread::sleep(Duration::from_millis(200));
    terminal.press("\n");
    terminal.exits_with(0);
    wait_until("it was left", || terminal.raw().contains("left"));
    assert!(terminal.raw().contains("team.alone"), "{}", terminal.raw());

    // What fits the screen is not paged, nor what is not to be, nor where the pager is not installed.
    let direct: [(&[&str], u16, &str); 4] = [
        (&["ls"], 24, PAGER),
        (&["plan", "--no-pager"], 4, PAGER),
        (&["plan"], 4, "cat"),
        (&["plan"], 4, "/nowhere/less"),
    ];
    for (words, rows, pager) in direct {
        let mut terminal = open(words, rows, pager);
        terminal.exits_with(0);
        // The last bytes are read after the program has ended.
        wait_until("everything is printed", || terminal.raw().contains("three"));
        let raw = terminal.raw();
        assert!(!raw.contains("in the pager"), "{words:?} {pager}: {raw}");
    }

    // Who leaves the pager early has seen enough.
    open(&["plan"], 4, "true").exits_with(0);
}

#[test]
fn logs_are_links_where_the_terminal_opens_them() {
    let staged = Staged::chain();
    staged.faults(&[crate::scripted::fails("one")]);
    let command = staged.command(&["materialize"]);
    let open = |knows: &str| {
        let env = [("FORCE_HYPERLINK", Some(knows))];
        let mut terminal = Terminal::open_with(&command, (24, 120), &env);
        terminal.exits_with(1);
        wait_until("it is said", || terminal.raw().contains("next: "));
        terminal.raw()
    };
    let link = "\x1b]8;;file://";
    let raw = open("1");
    assert!(raw.contains(link), "{raw:?}");
    assert!(!open("0").contains(link));
}

#[test]
fn no_child_has_the_terminal() {
    let staged = Staged::chain();
    staged.workspace.edit(
        "workspace.toml",
        "[run]",
        "[hooks]\non_success = [\"sh\", \"-c\", \"ps -o tty= -p $$ >> ttys; (stty -a < /dev/tty) 2>> ttys && echo BAD >> ttys; exit 0\"]\n\n[run]",
    );
    let mut terminal = Terminal::open(&staged.command(&["materialize"]), 80);
    terminal.exits_with(0);
    let ttys = staged.workspace.read("ttys");
    assert!(ttys.contains('?') && !ttys.contains("BAD"), "{ttys}");
}

#[test]
fn nohup_is_respected() {
    let staged = Staged::chain();
    staged.faults(&[Fault {
        slow_millis: 1_500,
        ..fault_of("alone")
    }]);
    let mut command = Command::new("nohup");
    let run = staged.command(&["materialize"]);
    command.arg(run.get_program()).args(run.get_args());
    command.current_dir(staged.workspace.root());
    for (name, value) in run.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.env_remove("SPARK_HOME");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    runs(&staged);
    crate::support::signal(child.id(), "HUP");
    thread::sleep(Duration::from_millis(100));
    assert!(child.wait().unwrap().success());
    assert_eq!(staged.filled("alone"), all_days());
}

#[test]
fn a_failure_is_said_once_in_full() {
    for columns in [40, 80, 200] {
        let staged = Staged::chain();
        staged.faults(&[Fault {
            says: "org.example.Cause: the one line that matters".to_owned(),
            ..crate::scripted::fails("two")
        }]);
        let command = staged.command(&["materialize", "--jobs", "1"]);
        let mut terminal = Terminal::open_high(&command, 60, columns);
        terminal.exits_with(1);
        terminal.shows("next: chronon-run retry");
        let rows = terminal.rows();
        let text = rows.join("\n");
        let count = |wanted: &str| text.replace("\n       ", " ").matches(wanted).count();
        assert_eq!(count("exit code 1"), 1, "{text}");
        assert_eq!(count("the one line that matters"), 1, "{text}");
        assert_eq!(count("log: /"), 1, "{text}");
        assert_eq!(count("1 step failed;"), 1, "{text}");
        let next = text.replace('\n', "");
        let logs = "chronon-run logs staging_query/team.two/backfill";
        assert!(next.contains(logs), "{text}");
        // What is done is on one row each, or goes on below it.
        let days = rows.iter().filter(|row| row.starts_with("done"));
        assert!(days.clone().all(|row| row.ends_with('s')), "{text}");
        assert_eq!(days.count(), 2, "{text}");
    }
}

#[test]
fn a_low_window_is_not_overrun() {
    let staged = hanging();
    let command = staged.command(&["materialize", "--jobs", "4"]);
    let mut terminal = Terminal::open_high(&command, 4, 60);
    runs(&staged);
    terminal.shows("/4 steps");
    let lines = terminal.screen().lines().count();
    assert!(lines <= 4, "{}", terminal.screen());
    terminal.press(CTRL_C);
    terminal.exits_with(130);
    no_process_is_left(&staged);
}

#[test]
fn a_stuck_step_is_marked_in_its_bar() {
    let staged = hanging();
    let short = "grace = \"1s\"\nstuck_after = \"1s\"";
    staged
        .workspace
        .edit("workspace.toml", "grace = \"1s\"", short);
    let mut terminal = Terminal::open(&staged.command(&["materialize"]), 80);
    terminal.shows("stuck for");
    wait_until("why it is stuck", || {
        terminal.raw().contains("no progress for")
    });
    terminal.press(CTRL_C);
    terminal.exits_with(130);
    no_process_is_left(&staged);
}
