//! A TCP proxy between workers and server that loses connections, replies and time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Debug, Clone, Copy, Default)]
struct Mode {
    /// A connection from before a cut is closed.
    cuts: u64,
    /// Replies come to nothing, requests arrive.
    lose_replies: bool,
    /// Nothing moves.
    stalled: bool,
}

#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) port: u16,
    mode: watch::Sender<Mode>,
    open: Arc<AtomicUsize>,
}

impl Proxy {
    pub(crate) async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (mode, watching) = watch::channel(Mode::default());
        let open = Arc::new(AtomicUsize::new(0));
        let count = open.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mode, count) = (watching.clone(), count.clone());
                tokio::spawn(async move {
                    let born = mode.borrow().cuts;
                    if let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await {
                        count.fetch_add(1, Ordering::Relaxed);
                        join(client, server, mode, born).await;
                        count.fetch_sub(1, Ordering::Relaxed);
                    }
                });
            }
        });
        Proxy { port, mode, open }
    }

    /// How many connections there are.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Close every connection; new ones are let in.
    pub(crate) fn cut(&self) {
        self.mode.send_modify(|mode| *mode = Mode { cuts: mode.cuts + 1, ..Mode::default() });
    }

    pub(crate) fn lose_replies(&self) {
        self.mode.send_modify(|mode| mode.lose_replies = true);
    }

    pub(crate) fn stall(&self) {
        self.mode.send_modify(|mode| mode.stalled = true);
    }

    pub(crate) fn go_on(&self) {
        self.mode.send_modify(|mode| mode.stalled = false);
    }
}

async fn join(client: TcpStream, server: TcpStream, mode: watch::Receiver<Mode>, born: u64) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, mode.clone(), born, false) => {}
        () = pump(from_server, to_client, mode, born, true) => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
    born: u64,
    replies: bool,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let now = *mode.borrow_and_update();
        if now.cuts != born {
            return;
        }
        let read = tokio::select! {
            biased;
            changed = mode.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            read = from.read(&mut buffer), if !now.stalled => read,
        };
        match read {
            Ok(count) if count > 0 => {
                if !(replies && now.lose_replies) && to.write_all(&buffer[..count]).await.is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}
