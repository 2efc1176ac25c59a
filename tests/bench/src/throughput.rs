//! Durable allocations a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::baseline::{self, Baseline};
use crate::process::{self, Process};
use crate::world::{Kind, World, cache, found, open};

const HOSTS: usize = 10_000;
/// What does not count at the beginning.
const WARM_UP: Duration = Duration::from_secs(1);

/// What the processes of one measurement answered: allocations acknowledged, and their waits in microseconds.
pub(crate) struct Figures {
    counts: Vec<u64>,
    seconds: u64,
    p99: u64,
    worst: u64,
}

impl Figures {
    pub(crate) fn of(mut processes: Vec<Process>, seconds: u64) -> Self {
        processes.iter_mut().for_each(Process::go);
        let mut figures = Figures { counts: Vec::new(), seconds, p99: 0, worst: 0 };
        for process in processes {
            let [count, p99, worst]: [u64; 3] = process.finish().try_into().unwrap();
            figures.counts.push(count);
            (figures.p99, figures.worst) = (figures.p99.max(p99), figures.worst.max(worst));
        }
        figures
    }

    pub(crate) fn rate(&self) -> f64 {
        self.counts.iter().sum::<u64>() as f64 / self.seconds as f64
    }

    /// The least that a process got, in parts of its even share.
    fn share(&self) -> f64 {
        let (least, all) = (self.counts.iter().min().unwrap(), self.counts.iter().sum::<u64>());
        *least as f64 * self.counts.len() as f64 / all.max(1) as f64
    }
}

pub(crate) async fn measure(stores: &[Kind], seconds: u64, clients: &[usize], processes: &[usize]) {
    let mut guards = Vec::new();
    if stores.contains(&Kind::Postgres) {
        println!(
            "One allocation a transaction in one round trip, on PostgreSQL: a second, p99 and worst wait in ms"
        );
        println!("| how | quota rows | connections | a second | p99 | worst |\n|---|---|---|---|---|---|");
        for kind in [Baseline::Guards, Baseline::Log] {
            for teams in [1, 64] {
                for &connections in clients {
                    let figures = baseline::measure(kind, teams, connections, seconds).await;
                    println!("| {} | {teams} | {connections} | {} |", kind.name(), row(&figures));
                    if connections == 64 {
                        guards.push(figures.rate());
                    }
                }
            }
        }
        println!();
    }
    println!("{HOSTS} hosts. Ratios are to the rates of 64 connections above, in their order.");
    println!("| store | processes | clients each | a second | p99 | worst | least share | ratios |");
    println!("|---|---|---|---|---|---|---|---|");
    for &store in stores {
        for &clients in clients {
            for &processes in processes {
                let figures = of_store(store, processes, clients, seconds).await;
                let ratios: Vec<String> =
                    guards.iter().map(|guard| format!("{:.1}", figures.rate() / guard)).collect();
                println!(
                    "| {} | {processes} | {clients} | {} | {:.0} % | {} |",
                    store.name(),
                    row(&figures),
                    figures.share() * 100.0,
                    if store == Kind::Postgres { ratios.join(", ") } else { "–".into() },
                );
            }
        }
    }
}

fn row(figures: &Figures) -> String {
    let ms = |microseconds: u64| microseconds as f64 / 1000.0;
    format!("{:.0} | {:.1} | {:.1}", figures.rate(), ms(figures.p99), ms(figures.worst))
}

async fn of_store(store: Kind, processes: usize, clients: usize, seconds: u64) -> Figures {
    let world = World::new(store);
    {
        let fleet = open(&world.url).await;
        found(&fleet, HOSTS).await;
    }
    let (clients, seconds_each) = (clients.to_string(), seconds.to_string());
    let start = |number: usize| {
        let number = number.to_string();
        Process::start(&["allocate-role", &world.url, &number, &clients, &seconds_each])
    };
    Figures::of((0..processes).map(start).collect(), seconds)
}

/// A process with clients that ask for one cache of one instance after another.
pub(crate) async fn allocate(url: &str, number: usize, clients: usize, seconds: u64) {
    let fleet = open(url).await;
    process::ready();
    let ask = move |client: usize, turn: usize| {
        let fleet = fleet.clone();
        async move {
            fleet.submit(cache(&format!("cache-{number}-{client}-{turn}"), 1)).await.unwrap();
        }
    };
    clients_of(clients, seconds, ask).await;
}

/// Keep so many clients busy, and answer how often and how quickly they were answered.
pub(crate) async fn clients_of<F>(
    clients: usize,
    seconds: u64,
    ask: impl Fn(usize, usize) -> F + Send + Sync + 'static,
) where
    F: Future<Output = ()> + Send,
{
    let (ask, begin) = (Arc::new(ask), Instant::now() + WARM_UP);
    let end = begin + Duration::from_secs(seconds);
    let clients: Vec<_> = (0..clients)
        .map(|client| {
            let ask = Arc::clone(&ask);
            tokio::spawn(async move {
                let (mut count, mut waits) = (0, Vec::new());
                for turn in 0.. {
                    let asked = Instant::now();
                    ask(client, turn).await;
                    let answered = Instant::now();
                    if answered >= begin {
                        // Also the last one, which was answered too late to count: a long wait must not hide there.
                        waits.push(u64::try_from((answered - asked).as_micros()).unwrap());
                    }
                    if answered >= end {
                        break;
                    }
                    count += u64::from(answered >= begin);
                }
                (count, waits)
            })
        })
        .collect();
    let (mut count, mut waits) = (0, Vec::new());
    for client in clients {
        let (its_count, its_waits) = client.await.unwrap();
        count += its_count;
        waits.extend(its_waits);
    }
    waits.sort_unstable();
    let p99 = waits.get(waits.len() * 99 / 100).copied().unwrap_or_default();
    let worst = waits.last().copied().unwrap_or_default();
    process::answer(&[count, p99, worst]);
}
