//! The rules. Every invariant of a fleet is kept here, in pure code, on the state the result will be appended to.

mod cache;
mod evidence;
mod host;
mod moves;
mod setup;

use std::borrow::Cow;
use std::time::Duration;

pub(super) use self::cache::has_room;
use super::{Action, Change, Command, Object, Order, Receipt, Refusal, State};
use crate::model::{
    Cache, CacheName, Cluster, ClusterName, FleetRecord, HostName, Key, Reason, Record, Request, Revision,
    Team, TeamName, Timestamp,
};

/// How long a request id is remembered: 7 days.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Expired request ids that one commit forgets at most, so that none grows without bound.
const FORGOTTEN_AT_ONCE: usize = 8;

/// Numbers that may have been given out between a backup and its restore: far more than a fleet has instances.
const NUMBERS_LOST: u64 = 1 << 32;
/// Numbers given out in a second at most: ten times what any store appends. With it numbers stay below 2^53, which JSON
/// carries everywhere, until the year 2242.
const NUMBERS_A_SECOND: u64 = 1 << 20;

/// What carrying out a command comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What was done, for people.
    pub action: Action,
    /// What is different afterwards; empty if nothing is, and then there is no commit.
    pub changes: Vec<Change>,
    /// What the caller is told.
    pub receipt: Receipt,
}

/// Decide an order on exactly this state: what changes, or why not. A function of its arguments, without a clock or
/// randomness.
///
/// `now` is the store's clock and never goes back along the ledger.
///
/// # Errors
/// The [`Refusal`] says which rule is in the way.
pub fn decide(state: &State, order: &Order, now: Timestamp) -> Result<Decision, Refusal> {
    let digest = order.request.as_ref().map(|_| order.command.digest());
    if let Some(id) = &order.request
        && let Some(known) = state.request(&order.actor, id)
        && known.receipt.at >= now.before(REMEMBERED)
    {
        return if Some(&known.digest) == digest.as_ref() {
            let action =
                Action { name: Cow::Borrowed("replayed"), target: String::new(), detail: String::new() };
            Ok(Decision { action, changes: Vec::new(), receipt: known.receipt.clone() })
        } else {
            Err(Refusal::RequestIdReused)
        };
    }
    let draft = Draft::new(state, now);
    let (action, subject, mut changes) = draft.carry_out(order)?;
    if changes.is_empty() && order.request.is_none() {
        let receipt = Receipt { revision: state.head().revision, at: now, subject };
        return Ok(Decision { action, changes, receipt });
    }
    let receipt = Receipt { revision: state.head().revision.next(), at: now, subject };
    if let (Some(id), Some(digest)) = (&order.request, digest) {
        let request =
            Request { principal: order.actor.clone(), id: id.clone(), digest, receipt: receipt.clone() };
        let own = Key::Request { principal: order.actor.clone(), id: id.clone() };
        let expired = state.requests_before(now.before(REMEMBERED)).filter(|key| *key != own);
        changes.extend(expired.take(FORGOTTEN_AT_ONCE).map(Change::Remove));
        changes.push(Change::Put(Record::Request(request)));
    }
    Ok(Decision { action, changes, receipt })
}

/// A command that is being decided: the state it rests on and the changes so far.
struct Draft<'a> {
    state: &'a State,
    now: Timestamp,
    /// Of the commit that this becomes.
    revision: Revision,
    changes: Vec<Change>,
    last_id: Option<u64>,
}

type Outcome = (Action, Key, Vec<Change>);

impl<'a> Draft<'a> {
    fn new(state: &'a State, now: Timestamp) -> Self {
        // Who only asks what would be has a clock of their own, which may be behind.
        let now = now.max(state.index().clock());
        Draft { state, now, revision: state.head().revision.next(), changes: Vec::new(), last_id: None }
    }

    fn carry_out(self, order: &Order) -> Result<Outcome, Refusal> {
        match &order.command {
            Command::Found { id } => self.found(*id),
            Command::StartEpoch { reason } => self.start_epoch(reason),
            Command::CreateCluster { name, spec } => self.create_cluster(name, spec),
            Command::ChangeCluster { name, patch } => self.change_cluster(name, patch),
            Command::RemoveCluster { name } => self.remove_cluster(name),
            Command::AddHost { name, spec } => self.add_host(name, spec),
            Command::ChangeHost { name, patch } => self.change_host(name, patch),
            Command::CordonHost { name } => self.cordon_host(name),
            Command::UncordonHost { name } => self.uncordon_host(name),
            Command::RemoveHost { name } => self.remove_host(name),
            Command::LoseHost { name, reason } => self.lose_host(name, reason),
            Command::CreateTeam { name } => self.create_team(name),
            Command::RemoveTeam { name } => self.remove_team(name),
            Command::SetQuota { cluster, team, memory } => self.set_quota(cluster, team, *memory),
            Command::Allocate { team, name, cluster, memory, instances, max_per_rack } => {
                self.allocate(&order.actor, (team, name), cluster, (*memory, *instances, *max_per_rack))
            }
            Command::Resize { team, name, memory } => self.resize(team, name, *memory),
            Command::Release { team, name } => self.release(team, name),
            Command::Replace { team, name } => self.replace(team, name),
            Command::StartPlan { cluster, goal, empties, steps } => {
                self.start_plan(cluster, *goal, empties, steps)
            }
            Command::BeginStep { plan, step } => self.begin_step(*plan, *step),
            Command::FinishMove { instance } => self.finish_move(*instance),
            Command::StopPlan { plan, reason } => self.stop_plan(*plan, reason),
            Command::Confirm { instance, revision, seen } => self.confirm(*instance, *revision, *seen),
            Command::StateStopped { team, name, index, reason } => {
                self.state_stopped(team, name, *index, reason)
            }
            Command::NoteObserved { host, revision, epoch, ports, in_use } => {
                self.note_observed(host, (*revision, *epoch, *ports), in_use)
            }
            Command::StateObserved { host, reason } => self.state_observed(host, reason),
            Command::NoteServed { host, document } => self.note_served(host, *document),
        }
    }

    fn found(mut self, id: uuid::Uuid) -> Result<Outcome, Refusal> {
        if self.state.fleet().is_some() {
            return Err(Refusal::Founded);
        }
        self.put(Record::Fleet(FleetRecord { id, epoch: 1, last_id: 0 }));
        Ok(self.done("fleet.found", "fleet".into(), id.to_string(), Key::Fleet))
    }

    fn start_epoch(mut self, reason: &Reason) -> Result<Outcome, Refusal> {
        let fleet = self.state.fleet().cloned().ok_or_else(|| not_found(Object::Cluster, "fleet"))?;
        // The same backup may be put back twice. What the first time came to is unknown the second time, but it was earlier:
        // an epoch and numbers that follow the clock are later than all of that.
        let seconds = self.now.as_millis() / 1000;
        let epoch = fleet.epoch.saturating_add(1).max(u32::try_from(seconds).unwrap_or(u32::MAX));
        let lost = fleet.last_id.saturating_add(NUMBERS_LOST);
        let last_id = lost.max(seconds.saturating_mul(NUMBERS_A_SECOND));
        self.put(Record::Fleet(FleetRecord { epoch, last_id, ..fleet }));
        Ok(self.done("fleet.start-epoch", "fleet".into(), format!("epoch {epoch}: {reason}"), Key::Fleet))
    }

    /// The next number that nothing had before.
    fn fresh_id(&mut self) -> u64 {
        let last = self.last_id.or_else(|| self.state.fleet().map(|fleet| fleet.last_id)).unwrap_or_default();
        self.last_id = Some(last + 1);
        last + 1
    }

    fn put(&mut self, record: Record) {
        self.changes.push(Change::Put(record));
    }

    fn remove(&mut self, key: Key) {
        self.changes.push(Change::Remove(key));
    }

    fn done(mut self, name: &'static str, target: String, detail: String, subject: Key) -> Outcome {
        if let (Some(last_id), Some(fleet)) = (self.last_id, self.state.fleet()) {
            // First, so that a number is never seen in use before it counts as given out.
            self.changes.insert(0, Change::Put(Record::Fleet(FleetRecord { last_id, ..fleet.clone() })));
        }
        (Action { name: Cow::Borrowed(name), target, detail }, subject, self.changes)
    }

    fn cluster(&self, name: &ClusterName) -> Result<&'a Cluster, Refusal> {
        self.state.cluster_named(name).ok_or_else(|| not_found(Object::Cluster, name.as_str()))
    }

    fn team(&self, name: &TeamName) -> Result<&'a Team, Refusal> {
        self.state.team_named(name).ok_or_else(|| not_found(Object::Team, name.as_str()))
    }

    fn host(&self, name: &HostName) -> Result<&'a super::HostView, Refusal> {
        self.state.host_named(name).ok_or_else(|| not_found(Object::Host, name.as_str()))
    }

    fn cache(&self, team: &TeamName, name: &CacheName) -> Result<&'a Cache, Refusal> {
        let cache = self.state.cache_named(team, name);
        cache.ok_or_else(|| not_found(Object::Cache, &format!("{team}/{name}")))
    }
}

fn not_found(object: Object, name: &str) -> Refusal {
    Refusal::NotFound { object, name: name.to_owned() }
}

fn out_of_range(field: &'static str, value: impl ToString, rule: impl Into<String>) -> Refusal {
    Refusal::OutOfRange { field, value: value.to_string(), rule: rule.into() }
}
