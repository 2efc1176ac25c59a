//! The servers themselves: they start, are killed, come back, stop and go.

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use memc_test_servers::{MariaDb, Postgres, Redis, Server};

fn answers(server: &Server) -> bool {
    TcpStream::connect(("127.0.0.1", server.port())).is_ok()
}

fn lives_and_dies(mut server: Server) {
    let (data, pid) = (server.data(), server.pid());
    assert!(answers(&server) && data.exists());
    server.kill9();
    assert!(!answers(&server));
    server.restart();
    assert!(answers(&server));
    assert_ne!(server.pid(), pid);
    drop(server);
    assert!(!data.exists());
}

#[test]
fn postgres() {
    lives_and_dies(Postgres::start(&[("work_mem", "8MB")]));
}

#[test]
fn redis() {
    lives_and_dies(Redis::start(&[("maxmemory-policy", "noeviction")]));
}

#[test]
fn mariadb() {
    let server = MariaDb::start(&[("max-connections", "20")]);
    // A stopped server's kernel still accepts connections, but nobody greets.
    let greeted = || {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).ok()?;
        stream.set_read_timeout(Some(Duration::from_millis(300))).ok()?;
        stream.read(&mut [0; 1]).ok()
    };
    assert_eq!(greeted(), Some(1));
    server.stop_process();
    assert_eq!(greeted(), None);
    server.continue_process();
    assert_eq!(greeted(), Some(1));
    lives_and_dies(server);
}
