//! What packages and images of the program use: completion scripts, manual pages, and the health check.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, and does not see that their helpers are part of them"
)]

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use weir_tests::{Program, Server};

/// The commands that `weir help` lists.
fn commands(program: &Program) -> BTreeSet<String> {
    let help = program.run(["help"]).unwrap().success().unwrap().stdout;
    let list = help.split("Commands:").nth(1).unwrap().trim_start_matches('\n');
    list.lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty() && *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn bash_completes_every_command_by_the_script() {
    let program = Program::new().unwrap();
    let script = program.run(["completions", "bash"]).unwrap().success().unwrap().stdout;
    let file = program.folder().join("weir.bash");
    std::fs::write(&file, script).unwrap();

    let complete = "COMP_WORDS=(weir ''); COMP_CWORD=1; _weir weir '' weir; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let output = Command::new("bash")
        .args(["--norc", "-c", &format!("source \"$0\" && {complete}")])
        .arg(&file)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();

    let offered = String::from_utf8(output.stdout).unwrap();
    let offered: BTreeSet<String> = offered.lines().map(str::to_owned).collect();
    let commands = commands(&program);
    assert!(commands.len() > 10, "{commands:?}");
    let missing: Vec<_> = commands.difference(&offered).collect();
    assert!(missing.is_empty(), "{missing:?} of {offered:?}");
}

#[test]
fn a_script_is_there_for_each_shell_and_for_no_other() {
    let program = Program::new().unwrap();
    for (shell, begins) in [
        ("zsh", "#compdef weir"),
        ("fish", "# "),
        ("elvish", ""),
        ("powershell", ""),
    ] {
        let script = program.run(["completions", shell]).unwrap().success().unwrap().stdout;
        assert!(script.starts_with(begins), "{shell}: {script:.80}");
        assert!(script.contains("inspect"), "{shell}");
    }
    let refused = program.run(["completions", "cmd"]).unwrap();
    assert_eq!(refused.status, Some(2));
    assert!(refused.stderr.contains("bash"), "{}", refused.stderr);
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let program = Program::new().unwrap();
    let folder = program.folder().join("share/man/man1");
    program
        .run([std::ffi::OsStr::new("man"), folder.as_os_str()])
        .unwrap()
        .success()
        .unwrap();

    let page = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    for command in commands(&program) {
        let text = page(&format!("weir-{command}.1"));
        assert!(text.contains(".SH SYNOPSIS"), "{command}: {text}");
    }
    let whole = page("weir.1");
    assert!(whole.contains(".TH weir 1"), "{whole}");

    let taken = program.folder().join("a-file");
    std::fs::write(&taken, "").unwrap();
    let refused = program.run([std::ffi::OsStr::new("man"), taken.as_os_str()]).unwrap();
    assert_eq!(refused.status, Some(1));
    assert!(refused.stderr.contains("a-file"), "{}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_is_0_while_a_server_takes_requests_and_1_when_none_is_there() {
    let program = Program::new().unwrap();
    let server = Server::start(&program).unwrap();
    let ready = program
        .run(["ready", "--url", server.url()])
        .unwrap()
        .success()
        .unwrap();
    assert_eq!(ready.stdout.trim(), "ready");

    let url = server.url().to_owned();
    drop(server);
    let refused = program.run(["ready", "--url", &url]).unwrap();
    assert_eq!(refused.status, Some(1));
    assert!(refused.stderr.contains(&url), "{}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_is_1_and_says_why_while_a_server_takes_none() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stopping = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        let answer = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 8\r\n\r\nstopping";
        client.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(head).unwrap()
    });

    let program = Program::new().unwrap();
    let asked = tokio::task::spawn_blocking(move || program.run(["ready", "--url", &url]).unwrap());
    let refused = asked.await.unwrap();

    assert!(stopping.await.unwrap().starts_with("GET /readyz HTTP/1.1\r\n"));
    assert_eq!(refused.status, Some(1));
    assert!(
        refused.stderr.contains("503") && refused.stderr.contains("stopping"),
        "{}",
        refused.stderr
    );
}
