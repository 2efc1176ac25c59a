//! Seconds for planning 10,000 hosts with 100,000 instances: `cargo run --release -p memc-core --example plan_speed`.

use std::time::Instant;

use memc_core::model::{CacheId, HostId, InstanceId, Mib, Rack};
use memc_core::placement::plan::{Answer, Budget, Request, check, drain, make_room, rebalance};
use memc_core::placement::{Layout, LayoutCache, LayoutHost, LayoutInstance};

const HOSTS: u64 = 10_000;
const INSTANCES: usize = 100_000;
const WORK: u64 = 1_000_000;
/// For requests that wait for an answer.
const SHORT: u64 = 20_000;

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// Hosts of 64 to 192 GiB in 200 racks, 10 % kept for growing; caches of 1 to 8 instances of 1 to 16 GiB, spread at
/// random; a fifth of the caches shrinks.
fn layout(random: &mut Random) -> Result<Layout, Box<dyn std::error::Error>> {
    let mut layout = Layout::default();
    for number in 0..HOSTS {
        let memory = Mib::new(random.of(&[64, 128, 192]) << 10)?;
        layout.hosts.push(LayoutHost {
            id: HostId::new(number + 1),
            rack: Some(Rack::new(&format!("r{}", number % 200))?),
            memory,
            limit: memory.minus(memory.percent(10)),
            booked: Mib::ZERO,
            ports: 100,
            open: true,
        });
    }
    while layout.instances.len() < INSTANCES {
        let cache = layout.caches.len() as u32;
        let booked = Mib::new(random.of(&[1, 2, 4, 8, 16]) << 10)?;
        let now = if random.below(5) == 0 { Mib::new(booked.get() / 2)? } else { booked };
        let count = random.of(&[1, 2, 4, 8]);
        layout.caches.push(LayoutCache {
            id: CacheId::new(u64::from(cache) + 1),
            max_per_rack: (random.below(2) == 0).then_some(1),
        });
        // Hosts a step apart, so that no two are of one rack.
        let (start, apart) = (random.below(HOSTS), 1 + random.below(24));
        for number in 0..count {
            let host = (start + number * apart) % HOSTS;
            let of = &mut layout.hosts[host as usize];
            if of.booked.plus(booked) > of.limit {
                continue;
            }
            of.booked = of.booked.plus(booked);
            let id = InstanceId::new(layout.instances.len() as u64 + 1);
            layout.instances.push(LayoutInstance {
                id,
                cache,
                host: host as u32,
                memory: now,
                booked,
                rebooked: now,
                movable: true,
            });
        }
    }
    Ok(layout)
}

fn seconds<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = run();
    println!("{:6.3} s  {what}", start.elapsed().as_secs_f64());
    result
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let layout = layout(&mut Random(1))?;
    let sum = |sizes: &mut dyn Iterator<Item = Mib>| sizes.sum::<Mib>();
    let stored = sum(&mut layout.instances.iter().map(|instance| instance.memory));
    let booked = sum(&mut layout.hosts.iter().map(|host| host.booked));
    let limit = sum(&mut layout.hosts.iter().map(|host| host.limit));
    println!(
        "{} hosts, {} instances, {} % of what new instances may book",
        layout.hosts.len(),
        layout.instances.len(),
        booked.get() * 100 / limit.get()
    );
    let budget = Budget { total: Mib::new(stored.get() * 3 / 10)?, per_cache: Mib::MAX };
    let plan = seconds("rebalance, 30 % of what is stored may go cold", || rebalance(&layout, budget, WORK));
    println!("          {} hosts emptied by {} moves of {}", plan.emptied.len(), plan.steps.len(), plan.cold);
    println!("          {} hosts are a bound by budget and memory", bound(&layout, budget));
    seconds("check of that plan", || check(&layout, &plan, budget))?;

    let fullest = layout.hosts.iter().max_by_key(|host| host.booked).ok_or("no hosts")?;
    let answer = seconds("drain of the fullest host", || drain(&layout, fullest.id, WORK));
    report(&layout, &answer)?;
    let largest = layout.hosts.iter().map(LayoutHost::room).max().ok_or("no hosts")?;
    let request =
        Request::New { booked: largest.plus(Mib::new(1)?), instances: 8, max_per_rack: Some(1), cache: None };
    let answer = seconds("room for 8 instances larger than any there is room for", || {
        make_room(&layout, &request, Budget::UNLIMITED, SHORT)
    });
    report(&layout, &answer)?;
    let on_it =
        layout.instances.iter().find(|at| layout.hosts[at.host as usize].id == fullest.id).ok_or("none")?;
    let request =
        Request::Grow { instances: vec![(on_it.id, on_it.booked.plus(fullest.memory.percent(20)))] };
    let answer = seconds("room to grow on the fullest host", || {
        make_room(&layout, &request, Budget::UNLIMITED, SHORT)
    });
    report(&layout, &answer)?;
    Ok(())
}

/// No more hosts than this can be emptied: what the budget pays for, or what there is room for without moving others,
/// each taken alone.
fn bound(layout: &Layout, budget: Budget) -> usize {
    let mut hosts: Vec<(u64, u64)> = layout.hosts.iter().map(|host| (0, host.room().get())).collect();
    let mut room: u64 = hosts.iter().map(|(_, room)| room).sum();
    let mut spare = budget.total.get();
    for instance in &layout.instances {
        let host = &mut hosts[instance.host as usize];
        *host = (host.0 + instance.memory.get(), host.1 + instance.rebooked.get());
    }
    hosts.sort_unstable();
    let paid =
        hosts.iter().take_while(|(cold, _)| spare.checked_sub(*cold).map(|left| spare = left).is_some());
    let paid = paid.count();
    hosts.sort_unstable_by_key(|(_, takes)| *takes);
    let held =
        hosts.iter().take_while(|(_, takes)| room.checked_sub(*takes).map(|left| room = left).is_some());
    paid.min(held.count())
}

fn report(layout: &Layout, answer: &Answer) -> Result<(), Box<dyn std::error::Error>> {
    match answer {
        Answer::Plan(plan) => {
            check(layout, plan, Budget::UNLIMITED)?;
            println!("          {} moves of {}", plan.steps.len(), plan.cold);
        }
        Answer::Infeasible(proof) => println!("          {proof}"),
        Answer::Undecided => println!("          undecided"),
    }
    Ok(())
}
