//! What happens to a fleet, and the check of each step.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use memc_core::ledger::{ClusterSpec, Command, Decision, Facts, HostSpec, Inconsistent, Refusal, Seen};
use memc_core::model::{FillOrder, Instance, InvalidSize, Mib, ObserverId, Policy, Port, PortRange};

use crate::agree::{cache_name, fleet_flaw, host_flaw, host_name, spots_of};
use crate::arguments::Arguments;
use crate::drain::{Drained, drain};
use crate::ledger::{Ledger, name, order, rebuilt};
use crate::second::{Host, Rules, Second, Spot, Wish};
use crate::workload::{self, Draw, Random};

const TEAMS: u64 = 8;
/// Few enough that ports are issued again before a turnover ends.
const PORTS: (u16, u16) = (11211, 11402);
const MAX_INSTANCE: u64 = 64 << 10;
const MAX_INSTANCES: u64 = 16;
/// How long one turnover takes, and how long it takes until a change was observed.
const TURNOVER_MILLIS: u64 = 30 * 24 * 60 * 60 * 1000;
const OBSERVED_AFTER_MILLIS: u64 = 60 * 1000;
/// Hosts up to which the full rule, and the whole fleet, is checked with every command.
const FULL_RULE_ALWAYS: u64 = 1000;
const FULL_RULE_EVERY: u64 = 64;
const WHOLE_FLEET_ALWAYS: u64 = 20;
/// Allocations refused in a row after which no more are tried for now.
const GIVE_UP: u32 = 16;
const VIOLATIONS_SHOWN: u64 = 20;

/// What a life came to: its lines, and whether every check passed.
pub(crate) struct Report {
    pub(crate) text: String,
    pub(crate) sound: bool,
    /// Allocations refused until the end of the turnover: before anything was lost.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests look at it"))]
    pub(crate) refused: u64,
}

#[derive(Debug, Default)]
struct Tally {
    operations: u64,
    /// Allocations and replacements refused.
    refused: u64,
    /// Those of them that would have been carried out without the share kept for growing.
    refused_for_headroom: u64,
    /// The least memory booked when one was refused, and what there was.
    refused_from: Option<(u64, u64)>,
    wrongly_refused: u64,
    violations: u64,
    grows: u64,
    grown: u64,
    /// Ports that were issued after another instance had had them.
    reissued: u64,
}

/// What the fleet is like at a moment.
#[derive(Debug, Default)]
struct Moment {
    instances: u64,
    booked: u64,
    memory: u64,
    largest: u64,
    refused: u64,
}

pub(crate) struct Life {
    arguments: Arguments,
    pub(crate) ledger: Ledger,
    pub(crate) second: Second,
    teams: Vec<String>,
    random: Random,
    racks: usize,
    tally: Tally,
    /// Caches that are not being released.
    kept: Vec<u64>,
    last_cache: u64,
    instances: u64,
    /// After so many operations the whole fleet was checked last.
    checked_at: u64,
    /// What will be asked for next, as soon as there is room below the fill that is wanted.
    next: Draw,
    /// Caches whose observation is due, and when.
    unobserved: VecDeque<(u64, u64)>,
}

/// Live a whole life.
pub(crate) fn life(arguments: &Arguments) -> Report {
    let mut life = Life::new(arguments);
    let came_to = life.run();
    let (at_the_end, drained) = came_to.unwrap_or_else(|flaw| {
        eprintln!("{flaw}");
        life.violation("inconsistent");
        Default::default()
    });
    Report {
        text: life.report(&at_the_end, &drained),
        sound: life.tally.violations + life.tally.wrongly_refused == 0,
        refused: at_the_end.refused,
    }
}

impl Life {
    fn new(arguments: &Arguments) -> Self {
        let rules = Rules {
            headroom_percent: arguments.headroom.into(),
            balance: arguments.balance,
            fill_limit_percent: 100,
            ports: PORTS.0..=PORTS.1,
            cool_down_millis: 24 * 60 * 60 * 1000,
            floor_mib: 45,
        };
        let mut random = Random(arguments.seed);
        let racks = arguments.hosts.div_ceil(hosts_a_rack(arguments.hosts)) as usize;
        let next = workload::cache(&mut random, most_instances(arguments), racks);
        Life {
            arguments: arguments.clone(),
            ledger: Ledger { now: 1_700_000_000_000, ..Ledger::default() },
            second: Second::new(rules, vec![Mib::MAX.get(); TEAMS as usize]),
            teams: (0..TEAMS).map(|team| format!("team-{team}")).collect(),
            random,
            racks,
            tally: Tally::default(),
            kept: Vec::new(),
            last_cache: 0,
            instances: 0,
            checked_at: 0,
            next,
            unobserved: VecDeque::new(),
        }
    }

    fn run(&mut self) -> Result<(Moment, Drained), Inconsistent> {
        self.phase("found", Life::found)?;
        self.phase("fill", Life::fill)?;
        let goal = self.instances;
        self.phase("turnover", |life| life.turn(goal, goal))?;
        let moment = self.moment();
        let lost = self.phase("lose a rack", Life::lose_rack)?;
        let (closed, drained) = self.phase("drain", Life::drain_one)?;
        self.phase("live without them", |life| life.turn(goal / 10, goal))?;
        self.phase("get them back", |life| life.get_back(&lost, closed))?;
        self.phase("live on", |life| life.turn(goal / 10, goal))?;
        Ok((moment, drained))
    }

    /// Do something, and check the whole fleet afterwards.
    fn phase<T>(
        &mut self,
        what: &str,
        act: impl FnOnce(&mut Self) -> Result<T, Inconsistent>,
    ) -> Result<T, Inconsistent> {
        let (started, before) = (Instant::now(), self.tally.operations);
        let refused = (self.tally.refused, self.tally.refused_for_headroom);
        let done = act(self)?;
        let (seconds, operations) = (started.elapsed().as_secs_f64(), self.tally.operations - before);
        self.check_fleet();
        if rebuilt(&self.ledger.state)? != self.ledger.state {
            self.violation("rebuilt");
        }
        let checked = started.elapsed().as_secs_f64() - seconds;
        let (refused, headroom) =
            (self.tally.refused - refused.0, self.tally.refused_for_headroom - refused.1);
        eprintln!(
            "{what}: {operations} operations in {seconds:.2} s, then the whole fleet checked in {checked:.2} s; \
             {} instances; {refused} refused, {headroom} of them only for the headroom",
            self.instances
        );
        Ok(done)
    }

    fn found(&mut self) -> Result<(), Inconsistent> {
        let policy = Policy {
            grow_headroom_percent: self.arguments.headroom,
            order: if self.arguments.balance { FillOrder::Balance } else { FillOrder::Pack },
            max_instance_mib: mib(MAX_INSTANCE),
            ..Policy::default()
        };
        self.must(Command::Found { id: uuid::Uuid::from_u128(1) })?;
        let ports = PortRange { first: port(PORTS.0), last: port(PORTS.1) };
        self.must(Command::CreateCluster { name: name("web"), spec: ClusterSpec { ports, policy } })?;
        for team in self.teams.clone() {
            self.must(Command::CreateTeam { name: name(&team) })?;
            self.must(Command::SetQuota { cluster: name("web"), team: name(&team), memory: Mib::MAX })?;
        }
        for at in 0..self.arguments.hosts as usize {
            let memory = workload::host_memory(&mut self.random);
            let rack = self.rack_of(at);
            // Some hosts use the first ports for something else.
            let blocked: Vec<u16> = if at % 7 == 3 { vec![PORTS.0, PORTS.0 + 2] } else { Vec::new() };
            let spec = HostSpec {
                cluster: name("web"),
                address: IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0001 + at as u32)),
                memory: mib(memory),
                rack: Some(name(&format!("r{rack}"))),
                blocked_ports: blocked.iter().map(|number| port(*number)).collect::<BTreeSet<Port>>(),
            };
            self.must(Command::AddHost { name: name(&host_name(at)), spec })?;
            let view = self.ledger.state.host_named(&name(&host_name(at)));
            let number = view.map_or(0, |view| view.host.id.get());
            self.second.hosts.push(Host::new(number, memory, rack, blocked));
        }
        Ok(())
    }

    fn rack_of(&self, at: usize) -> usize {
        at / hosts_a_rack(self.arguments.hosts) as usize
    }

    fn fill(&mut self) -> Result<(), Inconsistent> {
        let most = self.arguments.instances;
        self.fill_up(most)?;
        self.ledger.now += OBSERVED_AFTER_MILLIS;
        self.observe()
    }

    /// Allocate up to so many instances, or the fill that is wanted.
    fn fill_up(&mut self, most: u64) -> Result<(), Inconsistent> {
        let mut refused_in_a_row = 0;
        while refused_in_a_row < GIVE_UP && most > 0 {
            let mut draw = self.next;
            draw.count = draw.count.min(most);
            let more = self.second.rules.booking(draw.memory) * draw.count;
            let (booked, memory) = self.booked_and_memory();
            if self.instances + draw.count > most || (booked + more) * 100 > memory * self.arguments.fill {
                break;
            }
            refused_in_a_row = if self.allocate(draw)? { 0 } else { refused_in_a_row + 1 };
            self.next = workload::cache(&mut self.random, most_instances(&self.arguments), self.racks);
        }
        Ok(())
    }

    /// Release so many instances one cache after another, grow and shrink others, and fill up again each time.
    fn turn(&mut self, instances: u64, goal: u64) -> Result<(), Inconsistent> {
        let mut left = instances;
        let mut round = 0;
        while left > 0 && !self.kept.is_empty() {
            let at = self.random.below(self.kept.len() as u64) as usize;
            let number = self.kept.swap_remove(at);
            let count = self.release(number)?;
            left = left.saturating_sub(count.max(1));
            round += 1;
            match round % 4 {
                1 => self.resize_one(|memory| memory * 3 / 2)?,
                3 => self.resize_one(|memory| memory * 2 / 3)?,
                _ => {}
            }
            self.ledger.now += (TURNOVER_MILLIS as u128 * u128::from(count) / u128::from(goal.max(1))) as u64;
            self.observe()?;
            self.fill_up(self.arguments.instances)?;
        }
        self.ledger.now += OBSERVED_AFTER_MILLIS;
        self.observe()?;
        self.fill_up(self.arguments.instances)
    }

    fn allocate(&mut self, draw: Draw) -> Result<bool, Inconsistent> {
        self.last_cache += 1;
        let (cache, team) = (self.last_cache, self.team_of(self.last_cache));
        let Draw { memory, count, most_per_rack } = draw;
        let wish = Wish { cache, team, memory, count: count as usize, most_per_rack };
        let command = Command::Allocate {
            team: name(&self.teams[team]),
            name: name(&cache_name(cache)),
            cluster: name("web"),
            memory: mib(memory),
            instances: count as u16,
            max_per_rack: most_per_rack,
        };
        let Some(spots) = self.place(&wish, command)? else {
            return Ok(false);
        };
        self.second.allocate(&wish, &spots);
        self.kept.push(cache);
        self.started(cache, &spots);
        Ok(true)
    }

    /// Place what a cache is missing since a host was lost.
    fn replace(&mut self, number: u64) -> Result<(), Inconsistent> {
        let missing = self.second.missing(number);
        let Some(cache) = self.second.caches.get(&number) else {
            return Ok(());
        };
        let (team, memory, most_per_rack) = (cache.team, cache.memory, cache.most_per_rack);
        let wish = Wish { cache: number, team, memory, count: missing.len(), most_per_rack };
        let (team, cache) = (name(&self.teams[team]), name(&cache_name(number)));
        let Some(spots) = self.place(&wish, Command::Replace { team, name: cache })? else {
            return Ok(());
        };
        self.second.start(number, &missing, &spots);
        self.started(number, &spots);
        Ok(())
    }

    /// Give a command that places instances, and check where they go, or that they cannot go anywhere.
    fn place(&mut self, wish: &Wish, command: Command) -> Result<Option<Vec<Spot>>, Inconsistent> {
        let now = self.ledger.now;
        let full = self.full_rule().then(|| self.second.place(wish, now));
        let would_fit = |ledger: &Ledger| {
            Facts::of(&ledger.state, &order(command.clone()), ledger.now()).is_none_or(|facts| facts.fits())
        };
        let refusal = match self.submit(command.clone())? {
            Ok(decision) => {
                let spots = spots_of(&self.ledger.state, &decision);
                if let Some(rule) = self.second.broken_by(wish, &spots, now) {
                    self.violation(rule);
                }
                match full {
                    Some(Ok(rule)) if rule != spots => self.violation("choice_of_hosts"),
                    Some(Err(_)) => self.violation("should_be_refused"),
                    _ => {}
                }
                let before = |(at, port): &&Spot| self.second.hosts[*at].retired.contains_key(port);
                self.tally.reissued += spots.iter().filter(before).count() as u64;
                return Ok(Some(spots));
            }
            Err(refusal) => refusal,
        };
        self.tally.refused += 1;
        let (booked, memory) = self.booked_and_memory();
        let fuller = |from: (u64, u64)| {
            u128::from(from.0) * u128::from(memory) > u128::from(booked) * u128::from(from.1)
        };
        if self.tally.refused_from.is_none_or(fuller) {
            self.tally.refused_from = Some((booked, memory));
        }
        match full.unwrap_or_else(|| self.second.place(wish, now)) {
            Ok(_) => self.wrong_refusal(),
            Err(code) if code != refusal.code() => self.violation("reason_of_refusal"),
            // What explains a refusal has to agree that it is one.
            Err(_) if would_fit(&self.ledger) => self.wrong_refusal(),
            Err(_) => {}
        }
        let headroom = std::mem::replace(&mut self.second.rules.headroom_percent, 0);
        self.tally.refused_for_headroom += u64::from(self.second.place(wish, now).is_ok());
        self.second.rules.headroom_percent = headroom;
        Ok(None)
    }

    fn started(&mut self, number: u64, spots: &[Spot]) {
        self.instances += spots.len() as u64;
        self.unobserved.push_back((self.ledger.now + OBSERVED_AFTER_MILLIS, number));
        self.check(&spots.iter().map(|(at, _)| *at).collect::<Vec<_>>());
    }

    fn resize_one(&mut self, size: impl Fn(u64) -> u64) -> Result<(), Inconsistent> {
        let Some(number) = self.random.one_of(&self.kept) else {
            return Ok(());
        };
        let Some(cache) = self.second.caches.get(&number) else {
            return Ok(());
        };
        let (team, before, on) = (cache.team, cache.memory, cache.on.clone());
        let memory = size(before).clamp(Mib::MIN_INSTANCE.get(), MAX_INSTANCE);
        let grows = memory > before && !on.is_empty();
        let allowed = self.full_rule().then(|| self.second.may_resize(number, memory));
        let (team, cache) = (name(&self.teams[team]), name(&cache_name(number)));
        self.tally.grows += u64::from(grows);
        match (self.submit(Command::Resize { team, name: cache, memory: mib(memory) })?, allowed) {
            (Ok(_), allowed) => {
                if allowed.is_some_and(|allowed| allowed.is_err()) {
                    self.violation("should_be_refused");
                }
                self.tally.grown += u64::from(grows);
                self.second.resize(number, memory);
                self.unobserved.push_back((self.ledger.now + OBSERVED_AFTER_MILLIS, number));
            }
            (Err(refusal), allowed) => {
                match allowed.unwrap_or_else(|| self.second.may_resize(number, memory)) {
                    Ok(()) => self.wrong_refusal(),
                    Err(code) if code != refusal.code() => self.violation("reason_of_refusal"),
                    Err(_) => {}
                }
            }
        }
        self.check(&on);
        Ok(())
    }

    fn release(&mut self, number: u64) -> Result<u64, Inconsistent> {
        let Some(cache) = self.second.caches.get(&number) else {
            return Ok(0);
        };
        let (team, on) = (cache.team, cache.on.clone());
        self.must(Command::Release { team: name(&self.teams[team]), name: name(&cache_name(number)) })?;
        if self.second.release(number).is_err() {
            self.violation("caches");
        }
        self.unobserved.push_back((self.ledger.now + OBSERVED_AFTER_MILLIS, number));
        self.check(&on);
        Ok(on.len() as u64)
    }

    /// Confirm what was observed by now: sizes, and what has stopped.
    fn observe(&mut self) -> Result<(), Inconsistent> {
        while let Some((due, number)) = self.unobserved.front().copied()
            && due <= self.ledger.now
        {
            self.unobserved.pop_front();
            let Some(cache) = self.second.caches.get(&number) else {
                continue;
            };
            let (releasing, on, team) = (cache.releasing, cache.on.clone(), name(&self.teams[cache.team]));
            let cache = self.ledger.state.cache_named(&team, &name(&cache_name(number)));
            let instances: Vec<Instance> = cache
                .map(|cache| self.ledger.state.instances_of(cache.id).cloned().collect())
                .unwrap_or_default();
            for instance in instances {
                if releasing {
                    self.stopped(number, &instance)?;
                } else {
                    let (memory, observer) = (instance.memory, ObserverId::of("here"));
                    self.confirm(&instance, Seen::Running { memory, within: true, observer })?;
                    self.second.seen_within(number, instance.index);
                }
            }
            self.check(&on);
        }
        Ok(())
    }

    /// The host's document was served, and the instance was seen to have stopped.
    fn stopped(&mut self, number: u64, instance: &Instance) -> Result<(), Inconsistent> {
        if let Some(view) = self.ledger.state.host(instance.host) {
            let (host, document) = (view.host.name.clone(), self.ledger.state.document_revision(view));
            self.must(Command::NoteServed { host, document })?;
        }
        self.confirm(instance, Seen::Stopped)?;
        if self.second.stopped(number, instance.index, self.ledger.now).is_err() {
            self.violation("instances");
        }
        self.instances -= 1;
        Ok(())
    }

    pub(crate) fn confirm(&mut self, instance: &Instance, seen: Seen) -> Result<(), Inconsistent> {
        let (instance, revision) = (instance.id, instance.revision);
        self.must(Command::Confirm { instance, revision, seen })
    }

    /// One rack is gone. What was on it is placed elsewhere where that is possible.
    fn lose_rack(&mut self) -> Result<Vec<usize>, Inconsistent> {
        let rack = self.random.below(self.racks as u64) as usize;
        let hosts: Vec<usize> =
            (0..self.second.hosts.len()).filter(|at| self.second.hosts[*at].rack == rack).collect();
        for &at in &hosts {
            self.must(Command::LoseHost {
                name: name(&host_name(at)),
                reason: name("its rack has no power"),
            })?;
            self.instances -= self.second.hosts[at].processes.len() as u64;
            self.second.lose(at, self.ledger.now);
            self.check(&[at]);
        }
        // A cache whose last instance was being stopped there is gone with it.
        self.kept.retain(|number| self.second.caches.contains_key(number));
        self.replace_missing()?;
        Ok(hosts)
    }

    fn replace_missing(&mut self) -> Result<(), Inconsistent> {
        for number in self.kept.clone() {
            if !self.second.missing(number).is_empty() {
                self.replace(number)?;
            }
        }
        Ok(())
    }

    /// Empty the host that holds the most.
    fn drain_one(&mut self) -> Result<(usize, Drained), Inconsistent> {
        let hosts = self.second.hosts.iter().enumerate();
        let fullest = hosts.max_by_key(|(_, host)| host.booked()).map_or(0, |(at, _)| at);
        Ok((fullest, drain(self, fullest)?))
    }

    /// Lost hosts return, and the closed one is opened again.
    fn get_back(&mut self, lost: &[usize], closed: usize) -> Result<(), Inconsistent> {
        for &at in lost.iter().chain([&closed]) {
            self.must(Command::UncordonHost { name: name(&host_name(at)) })?;
            self.second.uncordon(at, self.ledger.now);
            self.check(&[at]);
        }
        self.replace_missing()
    }

    pub(crate) fn submit(&mut self, command: Command) -> Result<Result<Decision, Refusal>, Inconsistent> {
        self.tally.operations += 1;
        self.ledger.attempt(command)
    }

    /// A command that is never refused.
    pub(crate) fn must(&mut self, command: Command) -> Result<(), Inconsistent> {
        if let Err(refusal) = self.submit(command)? {
            eprintln!("{refusal}");
            self.wrong_refusal();
        }
        Ok(())
    }

    /// Check the hosts that a command has touched, and the whole fleet when it is time.
    pub(crate) fn check(&mut self, hosts: &[usize]) {
        for &at in hosts {
            let host = &self.second.hosts[at];
            let overfull = (host.booked() > host.memory).then_some("memory");
            if let Some(flaw) = overfull.or_else(|| host_flaw(&self.second, &self.ledger.state, at)) {
                self.violation(flaw);
            }
        }
        let hosts = self.arguments.hosts;
        if hosts <= WHOLE_FLEET_ALWAYS || self.tally.operations >= self.checked_at + hosts {
            self.check_fleet();
        }
    }

    fn check_fleet(&mut self) {
        self.checked_at = self.tally.operations;
        let overfull = self.second.hosts.iter().any(|host| host.booked() > host.memory);
        let flaw = overfull.then_some("memory");
        if let Some(flaw) = flaw.or_else(|| fleet_flaw(&self.second, &self.ledger.state, &self.teams)) {
            self.violation(flaw);
        }
    }

    fn full_rule(&self) -> bool {
        self.arguments.hosts <= FULL_RULE_ALWAYS || self.tally.operations.is_multiple_of(FULL_RULE_EVERY)
    }

    pub(crate) fn violation(&mut self, rule: &str) {
        self.tally.violations += 1;
        self.tell(rule);
    }

    fn wrong_refusal(&mut self) {
        self.tally.wrongly_refused += 1;
        self.tell("wrong_refusal");
    }

    fn tell(&self, rule: &str) {
        if self.tally.violations + self.tally.wrongly_refused <= VIOLATIONS_SHOWN {
            eprintln!("violation {} {rule}", self.tally.operations);
        }
    }

    fn team_of(&self, cache: u64) -> usize {
        (cache % TEAMS) as usize
    }

    fn booked_and_memory(&self) -> (u64, u64) {
        let cluster = self.ledger.state.clusters().next().map(|cluster| cluster.id);
        cluster.map_or((0, 0), |id| (self.ledger.state.booked(id).get(), self.ledger.state.memory(id).get()))
    }

    fn moment(&mut self) -> Moment {
        let (booked, memory) = self.booked_and_memory();
        let largest = self.largest_fit();
        Moment { instances: self.instances, booked, memory, largest, refused: self.tally.refused }
    }

    /// The largest instance that fits now: what an explanation says, which the second implementation has to agree with.
    fn largest_fit(&mut self) -> u64 {
        let (cache, team, now) = (self.last_cache + 1, 0, self.ledger.now);
        let fits = |life: &Life, memory| {
            let wish = Wish { cache, team, memory, count: 1, most_per_rack: None };
            life.second.place(&wish, now).is_ok()
        };
        let command = Command::Allocate {
            team: name(&self.teams[team]),
            name: name(&cache_name(cache)),
            cluster: name("web"),
            memory: Mib::MIN_INSTANCE,
            instances: 1,
            max_per_rack: None,
        };
        let facts = Facts::of(&self.ledger.state, &order(command), self.ledger.now());
        let largest = facts.and_then(|facts| facts.explain().largest).map_or(0, Mib::get);
        let fits_itself = largest == 0 || fits(self, largest);
        if !fits_itself || (largest < MAX_INSTANCE && fits(self, (largest + 1).max(Mib::MIN_INSTANCE.get())))
        {
            self.violation("largest_fit");
        }
        largest
    }

    fn report(&self, moment: &Moment, drained: &Drained) -> String {
        let tally = &self.tally;
        let mut text = String::new();
        let mut line = |key: &str, value: String| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{key} {value}");
        };
        line("hosts", self.arguments.hosts.to_string());
        line("instances", moment.instances.to_string());
        line("operations", tally.operations.to_string());
        line("refused", tally.refused.to_string());
        line("wrongly_refused", tally.wrongly_refused.to_string());
        line("violations", tally.violations.to_string());
        line("fill_percent", percent(moment.booked, moment.memory));
        line("grow_in_place_percent", percent(tally.grown, tally.grows));
        line("largest_fit_mib", moment.largest.to_string());
        line("moved_mib", drained.moved_mib.to_string());
        line("drains_undecided", drained.undecided.to_string());
        eprintln!(
            "{} of {} caches grew in place; {} ports were issued again",
            tally.grown, tally.grows, tally.reissued
        );
        if let Some((booked, memory)) = tally.refused_from {
            eprintln!("refused from {} % on", percent(booked, memory));
        }
        text
    }
}

/// With one decimal, rounded down; `-` of nothing.
fn percent(part: u64, whole: u64) -> String {
    match (u128::from(part) * 1000).checked_div(u128::from(whole)) {
        Some(tenths) => format!("{}.{}", tenths / 10, tenths % 10),
        None => "-".to_owned(),
    }
}

fn hosts_a_rack(hosts: u64) -> u64 {
    (hosts / 10).clamp(1, 40)
}

/// No more than there are hosts, or than are asked for in all.
fn most_instances(arguments: &Arguments) -> u64 {
    MAX_INSTANCES.min(arguments.hosts).min(arguments.instances.max(1))
}

fn mib(mib: u64) -> Mib {
    number(Mib::new(mib))
}

fn port(port: u16) -> Port {
    number(Port::new(port))
}

/// A number that is written here or put together from such.
fn number<T>(number: Result<T, InvalidSize>) -> T {
    #[allow(clippy::unwrap_used)] // each of them is valid
    number.unwrap()
}
