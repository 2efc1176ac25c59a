//! What can go wrong.

use std::str::FromStr;

use crate::target::Kind;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The server is killed and started again.
    ServerKilled,
    /// The server stands still, then goes on.
    ServerStopped,
    /// A worker is killed and started again.
    WorkerKilled,
    /// A worker stands still, then goes on.
    WorkerStopped,
    /// Server and worker are killed together.
    BothKilled,
    /// All connections are closed.
    Cut,
    /// Requests arrive and replies do not; then all connections are closed.
    RepliesLost,
    /// Nothing gets through for a while, and then everything.
    Stalled,
    /// The server runs with an unsafe setting for as long as it takes until both processes have noticed.
    Unsafe,
    /// There is no room on the disk; then there is again, and the server, should it have given up, is started again.
    DiskFull,
    /// Everything is killed, and what was never flushed to disk is taken back.
    PowerCut,
    /// A worker's clock jumps by hours.
    ClockMoved,
    /// An older backup takes the place of the data, under running workers.
    Restored,
}

impl Fault {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::ServerKilled => "server_killed",
            Fault::ServerStopped => "server_stopped",
            Fault::WorkerKilled => "worker_killed",
            Fault::WorkerStopped => "worker_stopped",
            Fault::BothKilled => "both_killed",
            Fault::Cut => "connections_cut",
            Fault::RepliesLost => "replies_lost",
            Fault::Stalled => "stalled",
            Fault::Unsafe => "unsafe_setting",
            Fault::DiskFull => "disk_full",
            Fault::PowerCut => "power_cut",
            Fault::ClockMoved => "clock_moved",
            Fault::Restored => "backup_restored",
        }
    }

    /// All that can happen to a store of this kind; with a disk that can be filled up or without.
    pub(crate) fn all(store: Kind, disk: bool) -> Vec<Fault> {
        let mut all = vec![
            Fault::WorkerKilled,
            Fault::WorkerStopped,
            Fault::PowerCut,
            Fault::ClockMoved,
            Fault::Restored,
        ];
        if disk {
            all.push(Fault::DiskFull);
        }
        // SQLite has no server, and no connection.
        if store != Kind::Sqlite {
            all.extend([
                Fault::ServerKilled,
                Fault::ServerStopped,
                Fault::BothKilled,
                Fault::Cut,
                Fault::RepliesLost,
                Fault::Stalled,
                Fault::Unsafe,
            ]);
        }
        all
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let mut all = Fault::all(Kind::Redis, true).into_iter();
        all.find(|fault| fault.name() == name).ok_or_else(|| "no such fault".into())
    }
}
