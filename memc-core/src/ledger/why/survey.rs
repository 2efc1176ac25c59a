//! Copying what an explanation rests on, a little at a time, so that no writer waits for it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Asked, Facts, Growing, Places, Seat};
use crate::ledger::decide::has_room;
use crate::ledger::state::{Inventory, Mark, Touched, assemble};
use crate::ledger::{Command, HostView, Order, PortUse, State};
use crate::model::{
    Cluster, ClusterId, ClusterName, HostId, HostName, HostStatus, Instance, Mib, Phase, Policy, PortRange,
    Rack, Revision, TeamId, Timestamp,
};
use crate::placement::plan;

/// Records that one [`Survey::read`] copies, unless another number is set.
const AT_ONCE: usize = 128;
/// What asking whether another cluster has room counts as, in records, if it looks at no more hosts.
const CLUSTER: usize = 16;
/// Notes about what was touched that one read takes in.
const NOTES: usize = 1024;
/// The most instances of one cache ([`Policy::max_instances`](crate::model::Policy::max_instances)): how far ports are
/// counted.
const PORTS: u16 = 64;
/// Beginning anew so often means that changes come faster than they can be read.
const BEGINNINGS: usize = 8;

/// The facts of a refusal, on their way out of a state that goes on changing.
///
/// Each [`read`](Survey::read) copies a bounded number of records, and whoever holds the state lets writers in between
/// two of them. What is touched meanwhile is noted by the state and read again; as copying is faster than committing,
/// ever less is. (One read may look at all hosts of another cluster, if there is room only in what these keep for growing.)
/// The last read finds nothing left to read again: all that was copied is then what the state is at that very revision.
#[derive(Debug)]
pub struct Survey {
    order: Order,
    now: Timestamp,
    at_once: usize,
    /// Up to where it is known what was touched.
    mark: Option<Mark>,
    beginnings: usize,
    subject: Option<Subject>,
    /// By number, each once; nothing for one that was there and is not any more.
    hosts: Vec<(HostId, Option<Copied>)>,
    /// The first that was not read yet.
    next: Option<HostId>,
    again: BTreeSet<HostId>,
    /// Other clusters that would do.
    elsewhere: BTreeMap<ClusterId, ClusterName>,
    next_cluster: Option<ClusterId>,
    clusters_again: BTreeSet<ClusterId>,
    summary: Option<Summary>,
    most_at_once: usize,
}

/// What is copied, and for whom other clusters are asked. If it changes, everything begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Subject {
    cluster: ClusterId,
    team: TeamId,
    what: What,
    /// In another one other hosts wait to be looked at.
    epoch: Option<u32>,
}

/// What of each host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Seats,
    Inventories,
    Nothing,
}

#[derive(Debug)]
enum Copied {
    Seat {
        seat: Seat,
        rack: Option<Rack>,
        /// The host, if it takes no new instances and could be opened again.
        closed: Option<HostName>,
    },
    Inventory(Inventory),
}

/// What an order is about, as the state has it.
#[derive(Debug)]
struct Question {
    cluster: ClusterId,
    team: TeamId,
    memory: Mib,
    count: u16,
    /// What the instances that should grow have.
    kept: Mib,
    max_per_rack: Option<u16>,
    /// Where instances of the cache are.
    there: Vec<HostId>,
    /// What the cache has now, if it should grow.
    current: Option<Mib>,
    growing: Vec<Growing>,
}

/// Everything but the hosts, at the revision at which they are whole.
#[derive(Debug)]
struct Summary {
    question: Question,
    revision: Revision,
    quota_left: Mib,
    policy: Policy,
    booked: Mib,
    cluster_memory: Mib,
    unobserved: u32,
}

impl Survey {
    /// For an order that was refused. `now` is when ports have to have cooled down by.
    #[must_use]
    pub fn new(order: &Order, now: Timestamp) -> Survey {
        Survey {
            order: order.clone(),
            now,
            at_once: AT_ONCE,
            mark: None,
            beginnings: 0,
            subject: None,
            hosts: Vec::new(),
            next: None,
            again: BTreeSet::new(),
            elsewhere: BTreeMap::new(),
            next_cluster: None,
            clusters_again: BTreeSet::new(),
            summary: None,
            most_at_once: 0,
        }
    }

    /// Copy this many records (hosts, and where room to grow is looked for the instances on them) in each read instead
    /// of 128, but no less than one host with what is on it.
    #[must_use]
    pub fn at_once(mut self, records: usize) -> Survey {
        self.at_once = records.max(1);
        self
    }

    /// Copy a little more; answers whether it has ended. O(what a cache has), however many hosts there are; beyond
    /// that O(ports) of one host.
    pub fn read(&mut self, state: &State) -> bool {
        self.now = self.now.max(state.index().clock());
        let Some(question) = Question::of(state, &self.order) else {
            return true;
        };
        let (cluster, team, what) = (question.cluster, question.team, question.what(state));
        let epoch = state.fleet().map(|fleet| fleet.epoch);
        let subject = Subject { cluster, team, what, epoch };
        let known = self.mark.clone().filter(|_| self.subject == Some(subject));
        let up_to_date = match known.as_ref().and_then(|mark| state.touched_since(mark, NOTES)) {
            Some((touched, mark, all)) => {
                touched.for_each(|what| self.note(state, cluster, what));
                self.mark = Some(mark);
                all
            }
            None if self.beginnings == BEGINNINGS => return true,
            None => {
                self.begin(state, subject);
                true
            }
        };
        let mut copied = 0;
        self.read_hosts(state, subject, &mut copied);
        self.read_clusters(state, &question, &mut copied);
        self.most_at_once = self.most_at_once.max(copied);
        let whole = self.next.is_none() && self.again.is_empty();
        let clusters_whole = self.next_cluster.is_none() && self.clusters_again.is_empty();
        if up_to_date && whole && clusters_whole {
            self.summary = Summary::of(state, question);
            return true;
        }
        false
    }

    /// The most records that one read copied: what a writer may have waited for, whatever the number of hosts.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        self.most_at_once
    }

    /// What was copied; `None` if the order is none that asks for memory, or names what is not there. O(n) in the hosts
    /// of the cluster.
    #[must_use]
    pub fn facts(self) -> Option<Facts> {
        let Summary { question, revision, quota_left, policy, booked, cluster_memory, unobserved } =
            self.summary?;
        let copied = self.hosts.into_iter().filter_map(|(id, copied)| Some((id, copied?)));
        let (memory, count, current) = (question.memory, question.count, question.current);
        let (asked, moving) = match current {
            None => {
                let most = question.max_per_rack.map_or(usize::MAX, usize::from);
                (Asked::New(places(copied, most, &question.there)), None)
            }
            Some(current) => {
                let need = policy.overhead.booking(memory);
                let moving =
                    matches!(self.subject, Some(Subject { what: What::Inventories, .. })).then(|| {
                        let inventories = copied.filter_map(|(_, copied)| match copied {
                            Copied::Inventory(it) => Some(it),
                            Copied::Seat { .. } => None,
                        });
                        let instances = question.growing.iter().map(|it| (it.instance, need)).collect();
                        (assemble(&policy, inventories), plan::Request::Grow { instances })
                    });
                (Asked::Grow { current, growing: question.growing }, moving)
            }
        };
        let mut elsewhere: Vec<ClusterName> = self.elsewhere.into_values().collect();
        elsewhere.sort_unstable();
        let now = self.now;
        Some(Facts {
            revision,
            now,
            memory,
            asked,
            moving,
            count,
            quota_left,
            policy,
            booked,
            cluster_memory,
            elsewhere,
            unobserved,
        })
    }

    fn begin(&mut self, state: &State, subject: Subject) {
        self.beginnings += 1;
        self.mark = Some(state.mark());
        self.subject = Some(subject);
        self.hosts.clear();
        self.again.clear();
        self.elsewhere.clear();
        self.clusters_again.clear();
        self.next = (subject.what != What::Nothing).then_some(HostId::new(0));
        let asks_elsewhere = matches!(self.order.command, Command::Allocate { .. });
        self.next_cluster = asks_elsewhere.then_some(ClusterId::new(0));
    }

    /// What was touched is to be read again, unless it is still to be read.
    fn note(&mut self, state: &State, own: ClusterId, what: Touched) {
        let cluster = match what {
            Touched::Cluster(cluster) => Some(cluster),
            Touched::Host(host) => {
                let cluster = state.host(host).map(|view| view.host.cluster);
                let wanted = cluster == Some(own) || self.place(host).is_ok();
                if wanted && self.next.is_none_or(|next| host < next) {
                    self.again.insert(host);
                }
                cluster
            }
        };
        if let Some(cluster) = cluster.filter(|cluster| *cluster != own)
            && matches!(self.order.command, Command::Allocate { .. })
            && self.next_cluster.is_none_or(|next| cluster < next)
        {
            self.clusters_again.insert(cluster);
        }
    }

    /// Where a host is or would be.
    fn place(&self, host: HostId) -> Result<usize, usize> {
        self.hosts.binary_search_by_key(&host, |(id, _)| *id)
    }

    fn read_hosts(&mut self, state: &State, Subject { cluster, what, .. }: Subject, copied: &mut usize) {
        if what == What::Nothing {
            self.again.clear();
            return;
        }
        if let Some(first) = self.next.take() {
            for view in state.hosts_from(cluster, first) {
                if *copied >= self.at_once {
                    self.next = Some(view.host.id);
                    return;
                }
                let row = self.copy(state, view, what, copied);
                self.hosts.push((view.host.id, row));
            }
        }
        while *copied < self.at_once
            && let Some(host) = self.again.pop_first()
        {
            let view = state.host(host).filter(|view| view.host.cluster == cluster);
            let row = view.and_then(|view| self.copy(state, view, what, copied));
            match self.place(host) {
                Ok(at) => self.hosts[at].1 = row,
                Err(at) => self.hosts.insert(at, (host, row)),
            }
        }
    }

    fn copy(&self, state: &State, view: &HostView, what: What, copied: &mut usize) -> Option<Copied> {
        let inventory = (what == What::Inventories).then(|| state.inventory(view, self.now));
        *copied += inventory.iter().flatten().map(Inventory::records).sum::<usize>().max(1);
        if let Some(inventory) = inventory {
            return inventory.map(Copied::Inventory);
        }
        let closed = match view.host.status {
            HostStatus::Active => None,
            HostStatus::Cordoned | HostStatus::Draining => Some(view.host.name.clone()),
            HostStatus::Lost | HostStatus::Removed => return None,
        };
        let ports = state.cluster(view.host.cluster)?.ports;
        let seat = Seat {
            memory: view.host.memory,
            booked: view.booked,
            port_from: view.port_from(),
            rack: 0,
            ports: free_ports(view, ports, PORTS, self.now),
            taken: false,
            waits: state.waits(&view.host),
        };
        Some(Copied::Seat { seat, rack: view.host.rack.clone(), closed })
    }

    fn read_clusters(&mut self, state: &State, question: &Question, copied: &mut usize) {
        if let Some(first) = self.next_cluster.take() {
            for cluster in state.clusters_from(first) {
                if *copied >= self.at_once {
                    self.next_cluster = Some(cluster.id);
                    return;
                }
                self.ask(state, question, cluster, copied);
            }
        }
        while *copied < self.at_once
            && let Some(id) = self.clusters_again.pop_first()
        {
            self.elsewhere.remove(&id);
            if let Some(cluster) = state.cluster(id) {
                self.ask(state, question, cluster, copied);
            }
        }
    }

    /// Whether another cluster would do.
    fn ask(&mut self, state: &State, question: &Question, cluster: &Cluster, copied: &mut usize) {
        let shape = (question.memory, question.count, question.max_per_rack);
        let (would_do, looked_at) = match cluster.id == question.cluster {
            true => (false, 0),
            false => has_room(state, cluster, question.team, shape, self.now),
        };
        *copied += CLUSTER.max(looked_at);
        if would_do {
            self.elsewhere.insert(cluster.id, cluster.name.clone());
        }
    }
}

impl Question {
    /// `None` for an order that asks for no memory, or names what is not there. O(instances of one cache).
    fn of(state: &State, order: &Order) -> Option<Question> {
        match &order.command {
            Command::Allocate { team, cluster, memory, instances, max_per_rack, .. } => Some(Question {
                cluster: state.cluster_named(cluster)?.id,
                team: state.team_named(team)?.id,
                memory: *memory,
                count: *instances,
                kept: Mib::ZERO,
                max_per_rack: *max_per_rack,
                there: Vec::new(),
                current: None,
                growing: Vec::new(),
            }),
            Command::Replace { team, name } => {
                let cache = state.cache_named(team, name)?;
                Some(Question {
                    cluster: cache.cluster,
                    team: cache.team,
                    memory: cache.memory,
                    count: state.missing_of(cache).len() as u16,
                    kept: Mib::ZERO,
                    max_per_rack: cache.max_per_rack,
                    there: state.instances_of(cache.id).map(|it| it.host).collect(),
                    current: None,
                    growing: Vec::new(),
                })
            }
            Command::Resize { team, name, memory } => {
                let cache = state.cache_named(team, name)?;
                let kept = |it: &&Instance| it.phase != Phase::Releasing;
                let kept: Vec<&Instance> = state.instances_of(cache.id).filter(kept).collect();
                let counted: Vec<Mib> =
                    kept.iter().filter(|it| it.moved_to.is_none()).map(|it| it.memory).collect();
                Some(Question {
                    cluster: cache.cluster,
                    team: cache.team,
                    memory: *memory,
                    count: counted.len() as u16,
                    kept: counted.into_iter().sum(),
                    max_per_rack: None,
                    there: Vec::new(),
                    current: Some(cache.memory),
                    growing: kept.into_iter().map(|it| Growing::of(state, it)).collect(),
                })
            }
            _ => None,
        }
    }

    fn what(&self, state: &State) -> What {
        let need = state.cluster(self.cluster).map(|it| it.policy.overhead.booking(self.memory));
        let fits = |it: &Growing| need.is_none_or(|need| it.has_room(need));
        match self.current {
            None => What::Seats,
            Some(_) if self.growing.iter().all(fits) => What::Nothing,
            Some(_) => What::Inventories,
        }
    }
}

impl Summary {
    fn of(state: &State, question: Question) -> Option<Summary> {
        let (cluster, team) = (question.cluster, question.team);
        Some(Summary {
            revision: state.head().revision,
            quota_left: state.quota(cluster, team).minus(state.used(cluster, team).minus(question.kept)),
            policy: state.cluster(cluster)?.policy.clone(),
            booked: state.booked(cluster),
            cluster_memory: state.memory(cluster),
            unobserved: state.unobserved(cluster),
            question,
        })
    }
}

/// The hosts for new instances, of which some are `there` already.
fn places(copied: impl Iterator<Item = (HostId, Copied)>, most: usize, there: &[HostId]) -> Places {
    let mut racks: HashMap<Option<Rack>, u32> = HashMap::new();
    let mut places = Places { most, held: Vec::new(), open: Vec::new(), closed: Vec::new() };
    for (host, copied) in copied {
        let Copied::Seat { mut seat, rack, closed } = copied else {
            continue;
        };
        seat.rack = *racks.entry(rack).or_insert(places.held.len() as u32);
        if seat.rack as usize == places.held.len() {
            places.held.push(0);
        }
        let taken = there.iter().filter(|other| **other == host).count();
        places.held[seat.rack as usize] += taken;
        seat.taken = taken > 0;
        match closed {
            None => places.open.push(seat),
            Some(name) => places.closed.push((seat, name)),
        }
    }
    places
}

/// How many ports a host could issue now, counted up to `enough`: counting all would look at each port that ever was
/// in use.
fn free_ports(view: &HostView, range: PortRange, enough: u16, now: Timestamp) -> u16 {
    let all = usize::from(range.last.get().saturating_sub(range.first.get())) + 1;
    let enough = usize::from(enough);
    let never_used =
        all.saturating_sub(view.ports.len() + view.host.blocked_ports.len() + view.host.found_ports.len());
    let cooled = |usage: &&PortUse| match usage {
        PortUse::Retired(it) => {
            it.reusable_at <= now && range.contains(it.port) && !view.host.blocks(it.port)
        }
        PortUse::Instance(..) => false,
    };
    let free = if never_used >= enough || view.ports.iter().filter(cooled).take(enough).count() >= enough {
        enough
    } else {
        view.free_ports(now).min(enough)
    };
    free as u16
}

impl Growing {
    fn of(state: &State, instance: &Instance) -> Growing {
        let view = state.host(instance.host);
        let draining = view.filter(|view| view.host.status == HostStatus::Draining);
        Growing {
            instance: instance.id,
            booked: instance.booked,
            free: view.map_or(Mib::ZERO, |view| view.free()),
            draining: draining.map(|view| view.host.name.clone()),
            waits: view.is_some_and(|view| state.waits(&view.host)),
        }
    }
}
