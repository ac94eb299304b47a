//! `hooks/slack.py` and `hooks/mail.py` deliver the events of a run, to servers on loopback.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Output, Stdio},
    thread::{self, JoinHandle},
};

use chronon_run_testkit::scripted::{Fault, Output as Written};
use serde_json::Value;

use crate::{
    staged::{Staged, days, fault_of},
    support::repository,
};

/// A server that answers so many connections with `serve`, and what it was told.
fn server(
    connections: usize,
    serve: impl Fn(usize, TcpStream) -> String + Send + 'static,
) -> (u16, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let accept = move || {
        let incoming = listener.incoming().take(connections).enumerate();
        incoming
            .map(|(number, stream)| serve(number, stream.unwrap()))
            .collect()
    };
    (port, thread::spawn(accept))
}

/// Reads one HTTP request; its body.
fn request(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(found) = line.to_lowercase().strip_prefix("content-length:") {
            length = found.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

fn answer(mut stream: TcpStream, status: &str, body: &str) {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .unwrap();
}

/// Speaks SMTP without TLS and accounts; the whole mail with its envelope.
fn smtp(mut stream: TcpStream) -> String {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut told = String::new();
    stream.write_all(b"220 loopback\r\n").unwrap();
    let mut in_data = false;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() == 0 {
            return told;
        }
        told.push_str(&line);
        let reply: &[u8] = match (in_data, line.trim_end()) {
            (true, ".") => {
                in_data = false;
                b"250 taken\r\n"
            }
            (true, _) => continue,
            (false, "DATA" | "data") => {
                in_data = true;
                b"354 go on\r\n"
            }
            (false, "QUIT" | "quit") => b"221 bye\r\n",
            (false, _) => b"250 ok\r\n",
        };
        stream.write_all(reply).unwrap();
    }
}

/// A run in which `two` fails and `alone` waits, with this hook for both.
fn run_with(hook: &str, variables: &[(&str, String)]) -> Staged {
    let staged = Staged::chain();
    let text = fs::read_to_string(repository().join("hooks").join(hook)).unwrap();
    staged.workspace.write(&format!("hooks/{hook}"), &text);
    let command = format!(r#"["python3", "hooks/{hook}"]"#);
    let hooks = format!("[hooks]\non_failure = {command}\non_waiting = {command}\n\n[run]");
    staged.workspace.edit("workspace.toml", "[run]", &hooks);
    staged.set_source("lake.b", days("2026-01-01", "2026-01-02"));
    staged.faults(&[Fault {
        exit: Some(1),
        output: Written::None,
        ..fault_of("two")
    }]);
    let mut command = staged.command(&["materialize", "--jobs", "1"]);
    for (name, value) in variables {
        command.env(name, value);
    }
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(!errors.contains("hook"), "{errors}");
    staged
}

/// The hook alone, with this event.
fn hook(name: &str, variables: &[(&str, &str)], event: &Value) -> Output {
    let mut command = Command::new("python3");
    command.arg(repository().join("hooks").join(name));
    command
        .env_remove("SLACK_WEBHOOK_URL")
        .env_remove("MAIL_TO");
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command.envs(variables.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    // It may end before it reads.
    let _ = writeln!(child.stdin.take().unwrap(), "{event}");
    child.wait_with_output().unwrap()
}

fn failure() -> Value {
    serde_json::json!({
        "event": "failure", "asset": "join/a.<b>&c/backfill", "start_ds": "2026-01-01",
        "end_ds": "2026-01-02", "attempts": 2, "message": "exit code 1", "log": "/x/attempt-2.log",
    })
}

#[test]
fn slack_gets_what_failed_and_what_waits() {
    let (port, told) = server(2, |_, stream| {
        let body = request(&stream);
        answer(stream, "200 OK", "ok");
        body
    });
    let url = format!("http://127.0.0.1:{port}/services/secret");
    let _staged = run_with("slack.py", &[("SLACK_WEBHOOK_URL", url)]);
    let told = told.join().unwrap();
    let texts: Vec<String> = told
        .iter()
        .map(|body| serde_json::from_str::<Value>(body).unwrap()["text"].to_string())
        .collect();
    let failed = &texts[0];
    assert!(
        failed.contains("staging_query/team.two/backfill failed for 2026-01-01..2026-01-03")
            && failed.contains("attempt-1.log"),
        "{failed}"
    );
    assert!(
        texts[1].contains("team.alone/backfill waits on 2026-01-03")
            && texts[1].contains("lake.b: 2026-01-03"),
        "{}",
        texts[1]
    );
}

#[test]
fn slack_is_asked_again_and_its_address_is_not_printed() {
    let (port, told) = server(4, |number, stream| {
        let body = request(&stream);
        match number {
            0 => answer(stream, "500 Internal Server Error", ""),
            1 => answer(stream, "200 OK", "ok"),
            _ => answer(stream, "404 Not Found", "no_service"),
        }
        body
    });
    let url = format!("http://127.0.0.1:{port}/services/secret");
    let settings = [("SLACK_WEBHOOK_URL", url.as_str()), ("SLACK_PREFIX", "dev")];
    let output = hook("slack.py", &settings, &failure());
    assert!(output.status.success(), "{output:?}");
    for _ in 0..2 {
        let output = hook("slack.py", &settings, &failure());
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(
            errors.contains("404: no_service") && !errors.contains("secret"),
            "{errors}"
        );
    }
    let told = told.join().unwrap();
    assert_eq!(told[0], told[1], "the same message again");
    assert!(
        told[0].contains("dev :x: join/a.&lt;b&gt;&amp;c/backfill"),
        "{}",
        told[0]
    );
    let output = hook("slack.py", &[], &failure());
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("SLACK_WEBHOOK_URL is not set"));
    let refused = [("SLACK_WEBHOOK_URL", "no address with secret")];
    let errors = hook("slack.py", &refused, &failure()).stderr;
    assert!(
        !String::from_utf8_lossy(&errors).contains("secret"),
        "{errors:?}"
    );
}

#[test]
fn mails_tell_what_failed_and_what_waits() {
    let (port, told) = server(2, |_, stream| smtp(stream));
    let settings = [
        ("SMTP_HOST", "127.0.0.1".to_owned()),
        ("SMTP_PORT", port.to_string()),
        ("MAIL_TO", "a@example.com, b@example.com".to_owned()),
        ("MAIL_FROM", "chronon@example.com".to_owned()),
    ];
    let _staged = run_with("mail.py", &settings);
    let told = told.join().unwrap();
    for part in [
        "MAIL FROM:<chronon@example.com>",
        "RCPT TO:<a@example.com>",
        "RCPT TO:<b@example.com>",
        "log: ",
        "\"outcome\"",
    ] {
        assert!(
            told[0].to_lowercase().contains(&part.to_lowercase()),
            "{part}: {}",
            told[0]
        );
    }
    let subject = |mail: &str| {
        let mut lines = mail
            .lines()
            .skip_while(|line| !line.starts_with("Subject: "));
        let first = lines.next().unwrap().to_owned();
        let more: Vec<&str> = lines.take_while(|line| line.starts_with(' ')).collect();
        format!("{first}{}", more.concat())
    };
    assert_eq!(
        subject(&told[0]),
        "Subject: [chronon-run] staging_query/team.two/backfill failed for 2026-01-01..2026-01-03"
    );
    assert_eq!(
        subject(&told[1]),
        "Subject: [chronon-run] staging_query/team.alone/backfill waits on 2026-01-03"
    );
    assert!(told[1].contains("lake.b: 2026-01-03"), "{}", told[1]);
}

#[test]
fn a_password_is_not_sent_without_tls() {
    let (port, told) = server(1, |_, stream| smtp(stream));
    let port = port.to_string();
    let settings = [
        ("SMTP_HOST", "127.0.0.1"),
        ("SMTP_PORT", port.as_str()),
        ("SMTP_USER", "me"),
        ("SMTP_PASSWORD", "hunter2"),
        ("MAIL_TO", "a@example.com"),
    ];
    let output = hook("mail.py", &settings, &failure());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("the mail was not sent"), "{errors}");
    let told = told.join().unwrap().concat();
    assert!(!told.contains("AUTH") && !told.contains("MAIL"), "{told}");
}
