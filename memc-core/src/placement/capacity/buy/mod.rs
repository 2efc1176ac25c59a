//! Which new hosts hold these caches, and what that costs at least.

mod bound;
mod column;
mod mix;
mod verify;

use std::fmt;
use std::num::NonZeroU32;

use super::super::Layout;
use super::Demand;
use super::bins::Bins;
use super::fit::{self, Outcome};
use super::racks::racks;
use crate::model::{Counted, Mib};
use mix::Mixes;

pub use verify::verify;

/// Rounds of best fit for one set of hosts and order, each with the demand that failed moved to the front.
const ROUNDS: usize = 2;
/// Up to this many instances, best fit that fails is followed by a search.
const SEARCHED: u64 = 400;
/// The most sets of hosts that are tried one by one below the best price found.
const TRIED: usize = 2_000;

/// A kind of host that can be bought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSize {
    /// What people call it.
    pub name: String,
    /// What new instances may fill it up to, MiB: its memory without the share kept for growing, which no plan uses.
    pub limit: Mib,
    /// Instances it has ports for.
    pub ports: u32,
    /// What one costs, in any unit.
    pub cost: NonZeroU32,
}

/// What is to be held, and what can be bought for it.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// Caches to place.
    pub demands: &'a [Demand],
    /// Hosts on offer, any number of each.
    pub sizes: &'a [HostSize],
    /// Racks for the new hosts, none of them in use yet. New hosts are numbered by size in the order of `sizes` and
    /// put into these racks in turn, so that the hosts of each size are spread evenly: number i goes to rack i mod
    /// `racks`.
    pub racks: NonZeroU32,
    /// Hosts that are there; their free room costs nothing. No instance moves. An empty layout for a new cluster.
    pub layout: &'a Layout,
}

/// New hosts that hold a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purchase {
    /// How many of each size.
    pub hosts: Vec<u32>,
    /// What they cost together.
    pub cost: u64,
    /// For each demand the positions of its hosts, ascending: those below the number of hosts in the layout are
    /// there, the others are new in the order of their numbers.
    pub places: Vec<Vec<u32>>,
    /// What any purchase for this wish costs at least.
    pub bound: Bound,
}

impl Purchase {
    /// Whether no purchase is cheaper. If not, it is open whether one is.
    #[must_use]
    pub fn proved(&self) -> bool {
        self.cost == self.bound.cost
    }

    /// How far the cost is above its bound at most, in hundredths of a percent of the bound, rounded up; `None`
    /// where the bound is zero and the cost is not.
    #[must_use]
    pub fn gap(&self) -> Option<u64> {
        let above = u128::from(self.cost.saturating_sub(self.bound.cost)) * 10_000;
        match u128::from(self.bound.cost) {
            0 => (above == 0).then_some(0),
            bound => u64::try_from(above.div_ceil(bound)).ok(),
        }
    }
}

/// A lower bound on the cost, with what shows it.
///
/// Each instance has a weight by the memory it books. No host of a size can hold more weight than its heaviest set of
/// instances of different demands; nor can the hosts that are there. So the new hosts have to make up for the rest of
/// the weight, and, if `spread` is given, be at least as many as that demand needs on hosts of their own: the cheapest
/// whole numbers of hosts that do both cost no more than any purchase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The least cost.
    pub cost: u64,
    /// Where the weights come from.
    pub argument: Argument,
    /// Weights by booked memory, ascending; what is not listed weighs nothing.
    pub weights: Vec<(Mib, u64)>,
    /// The demand whose instances need as many hosts.
    pub spread: Option<usize>,
}

/// Where the weights of a [`Bound`] come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// No weights: only the number of hosts that one demand needs.
    Count,
    /// Every instance weighs the memory it books.
    Sum,
    /// Every instance weighs one: hosts have only so many ports or places.
    Places,
    /// The function of the bound L2 (Martello and Toth, 1990): large instances weigh a whole host, small ones nothing.
    L2,
    /// The weights go with a look at every cheaper set of hosts: where they and `spread` do not rule a set out, caches
    /// on many hosts do. Of k instances at least k - m are on some hosts where there are m others; the smallest new
    /// hosts of the set, some number of them, do not have the memory for what all demands bring to them in this way
    /// (after the condition of Gale and of Ryser, 1957, for matrices of zeros and ones).
    Spread,
    /// Dual prices of the linear relaxation over whole hosts (Gilmore and Gomory, 1961), as integers.
    Dual,
}

/// A demand that no number of these hosts can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impossible {
    /// Its position.
    pub demand: usize,
    /// Its instances.
    pub instances: u64,
    /// How many of them could be placed with any number of new hosts.
    pub places: u64,
}

impl fmt::Display for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Argument::Count => "the number of hosts that one cache needs",
            Argument::Sum => "the memory of all instances together",
            Argument::Places => "the number of instances that fit on a host",
            Argument::Spread => "caches on so many hosts that small ones do not hold their part",
            Argument::L2 => "instances so large that they do not share a host",
            Argument::Dual => "which instances fit together on a host",
        })
    }
}

impl fmt::Display for Purchase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: u64 = self.hosts.iter().copied().map(u64::from).sum();
        write!(f, "{} for {}. ", Counted(hosts, "new host"), self.cost)?;
        if self.proved() {
            write!(f, "Nothing cheaper is possible, because of {}.", self.bound.argument)
        } else {
            write!(
                f,
                "At least {} are needed, because of {}; whether something in between is possible is open.",
                self.bound.cost, self.bound.argument
            )
        }
    }
}

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Demand {} asks for {}; with any number of these hosts only {} can be placed with its size and \
             its rack limit.",
            self.demand + 1,
            Counted(self.instances, "instance"),
            self.places
        )
    }
}

/// The cheapest set of new hosts that was found for a wish, with a lower bound on the cost of any.
///
/// Sets of hosts that could do by weight are tried from the bound upwards, each with best fit decreasing; small wishes
/// also with a search. O(k log n) for each set of n hosts and k instances. `work` limits the sets that are tried; it
/// counts instances placed and steps of the searches. A first purchase is always completed.
///
/// # Errors
/// [`Impossible`] for a demand that no number of these hosts holds.
pub fn buy(wish: &Wish<'_>, work: u64) -> Result<Purchase, Impossible> {
    let demands = known(wish);
    let wish = &Wish { demands: &demands, ..*wish };
    if let Some(impossible) = bound::impossible(wish) {
        return Err(impossible);
    }
    let mut shop = Shop::new(wish, work);
    let bounds = bound::bounds(wish, work / 4);
    let mixes: Vec<Mixes> = bounds.mixes(wish);
    let mut bound = bounds.best.clone();

    // A price at which it can be done, in growing steps above the bound; then the least such price by bisection.
    let mut too_low = None;
    let mut price = bound.cost;
    let mut step = (bound.cost / 2_000).max(1);
    let mut best = loop {
        if let Some(found) = shop.cheapest(&mixes, price) {
            break found;
        }
        too_low = Some(price);
        price = price.saturating_add(step);
        step = step.saturating_mul(2);
    };
    while let Some(low) = too_low
        && best.cost > low + 1 + bound.cost / 10_000
        && shop.work > 0
    {
        let middle = low + (best.cost - low) / 2;
        match shop.cheapest(&mixes, middle) {
            Some(found) if found.cost < best.cost => best = found,
            _ => too_low = Some(middle),
        }
    }
    if bound.cost < best.cost
        && let Some(sets) = bounds.sets(wish, best.cost)
    {
        let least = sets.first().map_or(best.cost, |hosts| shop.cost(hosts));
        if least > bound.cost {
            bound = Bound { cost: least, argument: Argument::Spread, ..bound };
        }
        for hosts in sets.iter().take(TRIED) {
            if shop.work == 0 || shop.cost(hosts) >= best.cost {
                break;
            }
            if let Some(found) = shop.pack(hosts) {
                best = found;
            }
        }
    }
    Ok(Purchase { hosts: best.hosts, cost: best.cost, places: best.places, bound })
}

/// The demands without neighbours that are not in the layout, which would be taken for new hosts.
fn known(wish: &Wish<'_>) -> Vec<Demand> {
    let mut demands = wish.demands.to_vec();
    for demand in &mut demands {
        demand.beside.retain(|host| (*host as usize) < wish.layout.hosts.len());
    }
    demands
}

struct Found {
    hosts: Vec<u32>,
    cost: u64,
    places: Vec<Vec<u32>>,
}

struct Shop<'a> {
    wish: &'a Wish<'a>,
    rack: Vec<u32>,
    racks: usize,
    orders: [Vec<usize>; 2],
    instances: u64,
    work: u64,
    search: u64,
}

impl<'a> Shop<'a> {
    fn new(wish: &'a Wish<'a>, work: u64) -> Self {
        let (rack, racks) = racks(wish.layout);
        let orders = [fit::widest(wish.demands), fit::decreasing(wish.demands)];
        let instances = wish.demands.iter().map(|demand| u64::from(demand.instances)).sum();
        Shop { wish, rack, racks, orders, instances, work, search: work / 64 }
    }

    fn cost(&self, hosts: &[u32]) -> u64 {
        cost(self.wish.sizes, hosts)
    }

    /// The first of the sets for this price that holds everything.
    fn cheapest(&mut self, mixes: &[Mixes], price: u64) -> Option<Found> {
        let mut tried: Vec<Vec<u32>> = Vec::new();
        for mix in mixes {
            if let Some(hosts) = mix.at(price)
                && !tried.contains(&hosts)
            {
                if let Some(found) = self.pack(&hosts) {
                    return Some(found);
                }
                tried.push(hosts);
            }
        }
        None
    }

    fn pack(&mut self, hosts: &[u32]) -> Option<Found> {
        let mut bins = self.bins(hosts);
        let demands = self.wish.demands;
        let mut spreads = bins.spreads(demands);
        let found =
            |places| Some(Found { hosts: hosts.to_vec(), cost: cost(self.wish.sizes, hosts), places });
        for mut order in self.orders.clone() {
            for _ in 0..ROUNDS {
                self.work = self.work.saturating_sub(self.instances + 1);
                match fit::in_order(&mut bins, demands, &mut spreads, &order) {
                    Ok(places) => return found(places),
                    Err(failed) => order[..=failed].rotate_right(1),
                }
                if self.work == 0 {
                    return None;
                }
            }
        }
        if self.instances <= SEARCHED && self.work > 0 {
            let limit = self.search.min(self.work);
            match fit::search(&bins, demands, &spreads, limit) {
                Outcome::Found(places) => {
                    self.work = self.work.saturating_sub(limit);
                    return found(places);
                }
                Outcome::None { work } | Outcome::Undecided { work } => {
                    self.work = self.work.saturating_sub(work);
                }
            }
        }
        None
    }

    fn bins(&self, hosts: &[u32]) -> Bins {
        let layout = self.wish.layout;
        let mut room: Vec<u64> = layout.hosts.iter().map(|host| host.room().get()).collect();
        let mut ports: Vec<u32> =
            layout.hosts.iter().map(|host| if host.open { host.ports } else { 0 }).collect();
        for (size, count) in self.wish.sizes.iter().zip(hosts) {
            room.extend(std::iter::repeat_n(size.limit.get(), *count as usize));
            ports.extend(std::iter::repeat_n(size.ports, *count as usize));
        }
        let new = (room.len() - layout.hosts.len()) as u32;
        let used = new.min(self.wish.racks.get());
        let mut rack = self.rack.clone();
        rack.extend((0..new).map(|host| self.racks as u32 + host % used));
        let limited = self.wish.demands.iter().any(|demand| demand.max_per_rack.is_some());
        Bins::new(room, ports, rack, self.racks + used as usize, limited)
    }
}

fn cost(sizes: &[HostSize], hosts: &[u32]) -> u64 {
    sizes.iter().zip(hosts).map(|(size, count)| u64::from(size.cost.get()) * u64::from(*count)).sum()
}
