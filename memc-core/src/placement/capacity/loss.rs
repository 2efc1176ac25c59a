//! What if hosts are lost: do their instances fit on the rest?

use std::collections::BTreeMap;
use std::fmt;

use super::super::{Layout, LayoutInstance};
use super::Demand;
use super::bins::{Bins, Item, Spread};
use super::fit::{Fit, Obstacle, fit};
use super::racks::racks;
use crate::model::{CacheId, Counted, HostId, Mib, Rack};

/// What fails together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Domain {
    /// One host.
    Host(HostId),
    /// Every host of a rack; `None` for the hosts without one.
    Rack(Option<Rack>),
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Domain::Host(host) => write!(f, "host {host}"),
            Domain::Rack(Some(rack)) => write!(f, "rack {rack}"),
            Domain::Rack(None) => f.write_str("all hosts without a rack"),
        }
    }
}

/// What the loss of a domain leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// What is lost.
    pub domain: Domain,
    /// The caches that lose instances, in the layout's order, and what each needs on other hosts. Instances of a cache
    /// that would book differently are planned with the largest of their bookings.
    pub caches: Vec<(CacheId, Demand)>,
    /// What they need together, MiB.
    pub needed: Mib,
    /// Whether that fits on the other hosts; [`verify`](super::fit::verify) can check it, with [`without`] and these
    /// demands.
    pub fit: Fit,
    /// If it does not: the caches that find no place for this many instances after all others, those that book most
    /// first, took theirs.
    pub left_over: Vec<(CacheId, u32)>,
    /// What those book, MiB.
    pub missing: Mib,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instances: u64 = self.caches.iter().map(|(_, demand)| u64::from(demand.instances)).sum();
        write!(
            f,
            "If {} is lost, {} are needed elsewhere, for {} of {}. ",
            self.domain,
            self.needed,
            Counted(instances, "instance"),
            Counted(self.caches.len(), "cache")
        )?;
        match &self.fit {
            Fit::Placed(_) => f.write_str("All of them fit on the other hosts."),
            _ => {
                let left: u64 = self.left_over.iter().map(|(_, instances)| u64::from(*instances)).sum();
                write!(
                    f,
                    "{} of {} would be without a place; {} are missing. {}",
                    Counted(left, "instance"),
                    Counted(self.left_over.len(), "cache"),
                    self.missing,
                    self.fit
                )
            }
        }
    }
}

/// The layout with a domain closed to new instances.
#[must_use]
pub fn without(layout: &Layout, domain: &Domain) -> Layout {
    let mut rest = layout.clone();
    for host in &mut rest.hosts {
        let lost = match domain {
            Domain::Host(id) => host.id == *id,
            Domain::Rack(rack) => host.rack == *rack,
        };
        host.open &= !lost;
    }
    rest
}

/// What happens if a domain is lost. Instances that cannot be moved need no new place: they are being stopped, or the
/// other half of their move has one. `work` as for [`fit`](super::fit::fit()).
#[must_use]
pub fn lose(layout: &Layout, domain: &Domain, work: u64) -> Loss {
    let cluster = Cluster::new(layout);
    let lost: Vec<u32> = (0..layout.hosts.len() as u32)
        .filter(|host| match domain {
            Domain::Host(id) => layout.hosts[*host as usize].id == *id,
            Domain::Rack(rack) => layout.hosts[*host as usize].rack == *rack,
        })
        .collect();
    let id = |cache: u32| layout.caches[cache as usize].id;
    let caches = cluster.orphans(&lost);
    let demands: Vec<Demand> = caches.iter().map(|(_, demand)| demand.clone()).collect();
    let rest = without(layout, domain);
    let fit = fit(&rest, &demands, work);
    let needed = demands.iter().map(|demand| demand.booked.times(demand.instances.into())).sum();
    let (mut left_over, mut missing) = (Vec::new(), Mib::ZERO);
    if !matches!(fit, Fit::Placed(_)) {
        let mut bins = Bins::of(&rest, cluster.limited);
        let mut spreads = bins.spreads(&demands);
        let (items, places) = place(&mut bins, &demands, &mut spreads);
        let mut unplaced: BTreeMap<u32, u32> = BTreeMap::new();
        for (item, _) in items.iter().zip(&places).filter(|(_, place)| place.is_none()) {
            *unplaced.entry(item.spread).or_default() += 1;
            missing = missing.plus(Mib::capped(item.booked));
        }
        left_over = unplaced.into_iter().map(|(at, count)| (id(caches[at as usize].0), count)).collect();
    }
    let caches = caches.into_iter().map(|(cache, demand)| (id(cache), demand)).collect();
    Loss { domain: domain.clone(), caches, needed, fit, left_over, missing }
}

/// What could be lost, one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Each {
    /// Any one host.
    Host,
    /// Any one rack.
    Rack,
}

/// Whether a cluster survives the loss of any one domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survival {
    /// What is lost one at a time.
    pub each: Each,
    /// Losses looked at: all there could be.
    pub checked: usize,
    /// Those after which not everything has a place, as far as is known; the most memory missing first.
    pub shortfalls: Vec<Shortfall>,
    /// Of all others the one that leaves the least room.
    pub tightest: Option<Margin>,
}

impl Survival {
    /// Whether every loss leaves a place for everything.
    #[must_use]
    pub fn survives(&self) -> bool {
        self.shortfalls.is_empty()
    }
}

/// A loss after which not everything has a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortfall {
    /// What is lost.
    pub domain: Domain,
    /// Instances without a place after the others, those that book most first, took theirs.
    pub instances: u32,
    /// What those book, MiB.
    pub missing: Mib,
    /// Whether it is proved that no arrangement has a place for everything; otherwise the work limit came first.
    pub proved: bool,
}

/// A loss after which everything has a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Margin {
    /// What is lost.
    pub domain: Domain,
    /// What its instances book elsewhere, MiB.
    pub needed: Mib,
    /// Room for new instances that is then left on the other hosts, MiB.
    pub left: Mib,
}

impl fmt::Display for Survival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = match self.each {
            Each::Host => "host",
            Each::Rack => "rack",
        };
        if let Some(worst) = self.shortfalls.first() {
            let number = self.shortfalls.len();
            write!(
                f,
                "Instances are left without a place by the loss of {number} of {}",
                Counted(self.checked, each)
            )?;
            match self.shortfalls.iter().filter(|shortfall| !shortfall.proved).count() {
                0 => f.write_str(". ")?,
                open => write!(f, " ({open} of them as far as was searched). ")?,
            }
            write!(
                f,
                "The worst is {}: {} would have no place, and {} are missing.",
                worst.domain,
                Counted(worst.instances, "instance"),
                worst.missing
            )
        } else if let Some(margin) = &self.tightest {
            write!(
                f,
                "The loss of any one {each} can be made up for on the others. The tightest is {}: its instances need \
                 {}, and {} are left then.",
                margin.domain, margin.needed, margin.left
            )
        } else {
            write!(f, "There is no {each} to lose.")
        }
    }
}

/// Whether the cluster survives the loss of any one host, or of any one rack.
///
/// O(log n) for each instance that needs a new place, in n hosts, while best fit finds one. A loss where it does not is
/// decided by a bound or by [`fit`](super::fit::fit()) at O(n log n), as long as `work` lasts: it counts hosts looked
/// at, for all losses together.
#[must_use]
pub fn survive(layout: &Layout, each: Each, mut work: u64) -> Survival {
    let cluster = Cluster::new(layout);
    let mut domains: Vec<(Domain, Vec<u32>)> = Vec::new();
    match each {
        Each::Host => {
            domains.extend(layout.hosts.iter().zip(0..).map(|(host, at)| (Domain::Host(host.id), vec![at])));
        }
        Each::Rack => {
            let (rack, number) = racks(layout);
            let mut hosts = vec![Vec::new(); number];
            rack.iter().zip(0..).for_each(|(rack, host)| hosts[*rack as usize].push(host));
            let name = |hosts: &[u32]| layout.hosts[hosts[0] as usize].rack.clone();
            domains.extend(hosts.into_iter().map(|hosts| (Domain::Rack(name(&hosts)), hosts)));
        }
    }
    let mut bins = Bins::of(layout, cluster.limited);
    let usable = |host: u32| if bins.ports[host as usize] > 0 { bins.room[host as usize] } else { 0 };
    let rooms: Vec<u64> = (0..layout.hosts.len() as u32).map(usable).collect();
    let all: u64 = rooms.iter().sum();
    let checked = domains.len();
    let (mut shortfalls, mut tightest): (Vec<Shortfall>, Option<Margin>) = (Vec::new(), None);
    for (domain, lost) in domains {
        let demands: Vec<Demand> = cluster.orphans(&lost).into_iter().map(|(_, demand)| demand).collect();
        let needed: u128 =
            demands.iter().map(|demand| u128::from(demand.booked.get()) * u128::from(demand.instances)).sum();
        let room = u128::from(all - lost.iter().map(|host| rooms[*host as usize]).sum::<u64>());
        lost.iter().for_each(|host| bins.take_out(*host));
        let mut spreads = bins.spreads(&demands);
        let (items, places) = place(&mut bins, &demands, &mut spreads);
        bins.undo(items.iter().copied(), &places, &mut spreads);
        lost.iter().for_each(|host| bins.put_back(*host));
        let unplaced =
            || items.iter().zip(&places).filter(|(_, place)| place.is_none()).map(|(item, _)| item);
        let instances = unplaced().count() as u32;
        let fits = if instances == 0 {
            Some(true)
        } else if needed > room || demands.len() == 1 {
            // More than all of the room; or instances of one cache, for which best fit is exact.
            Some(false)
        } else {
            work = work.saturating_sub(layout.hosts.len() as u64 + u64::from(instances));
            let answer = (work > 0).then(|| fit(&without(layout, &domain), &demands, work / 16));
            match answer {
                Some(Fit::Placed(_)) => Some(true),
                Some(Fit::Infeasible(obstacle)) => {
                    if let Obstacle::Exhausted { work: spent } = obstacle {
                        work = work.saturating_sub(spent);
                    }
                    Some(false)
                }
                Some(Fit::Undecided { work: spent }) => {
                    work = work.saturating_sub(spent);
                    None
                }
                None => None,
            }
        };
        let mib = |mib: u128| Mib::capped(u64::try_from(mib).unwrap_or(u64::MAX));
        if fits == Some(true) {
            let left = mib(room - needed);
            if tightest.as_ref().is_none_or(|margin| left < margin.left) {
                tightest = Some(Margin { domain, needed: mib(needed), left });
            }
        } else {
            let missing = unplaced().map(|item| Mib::capped(item.booked)).sum();
            shortfalls.push(Shortfall { domain, instances, missing, proved: fits.is_some() });
        }
    }
    shortfalls.sort_by(|one, other| (other.missing, &one.domain).cmp(&(one.missing, &other.domain)));
    Survival { each, checked, shortfalls, tightest }
}

/// Best fit decreasing of as much as there is a place for.
fn place(bins: &mut Bins, demands: &[Demand], spreads: &mut [Spread]) -> (Vec<Item>, Vec<Option<u32>>) {
    let items: Vec<Item> = super::fit::decreasing(demands)
        .into_iter()
        .flat_map(|at| {
            let item = Item { booked: demands[at].booked.get(), spread: at as u32 };
            std::iter::repeat_n(item, demands[at].instances.into())
        })
        .collect();
    let places = bins.best_fit(items.iter().copied(), spreads, false);
    (items, places)
}

/// A layout's instances by host and by cache.
struct Cluster<'a> {
    layout: &'a Layout,
    on_host: Vec<Vec<&'a LayoutInstance>>,
    of_cache: Vec<Vec<u32>>,
    limited: bool,
}

impl<'a> Cluster<'a> {
    fn new(layout: &'a Layout) -> Self {
        let mut on_host = vec![Vec::new(); layout.hosts.len()];
        let mut of_cache = vec![Vec::new(); layout.caches.len()];
        for instance in &layout.instances {
            let host = on_host.get_mut(instance.host as usize);
            if let (Some(host), Some(cache)) = (host, of_cache.get_mut(instance.cache as usize)) {
                host.push(instance);
                cache.push(instance.host);
            }
        }
        let limited = layout.caches.iter().any(|cache| cache.max_per_rack.is_some());
        Cluster { layout, on_host, of_cache, limited }
    }

    /// What the caches on these hosts, ascending, need on others; in the order of caches.
    fn orphans(&self, lost: &[u32]) -> Vec<(u32, Demand)> {
        let mut by_cache: BTreeMap<u32, Demand> = BTreeMap::new();
        for host in lost {
            for instance in self.on_host[*host as usize].iter().filter(|instance| instance.movable) {
                let demand = by_cache.entry(instance.cache).or_default();
                demand.booked = demand.booked.max(instance.rebooked);
                demand.instances = demand.instances.saturating_add(1);
            }
        }
        for (cache, demand) in &mut by_cache {
            let (cache, hosts) = (&self.layout.caches[*cache as usize], &self.of_cache[*cache as usize]);
            demand.max_per_rack = cache.max_per_rack;
            demand.beside = hosts.iter().copied().filter(|host| lost.binary_search(host).is_err()).collect();
        }
        by_cache.into_iter().collect()
    }
}
