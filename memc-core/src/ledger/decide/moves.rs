//! Plans: instances that move from host to host, one after another.
//!
//! A move starts a copy on the new host; both run and are booked until the old one is seen to have stopped. Every step
//! says what it expects to find, and is judged again when it is begun: where something is not so, the plan stops.

use std::collections::{BTreeSet, HashMap};

use super::{Draft, Outcome, not_found, out_of_range};
use crate::ledger::{Object, Refusal};
use crate::model::{
    Cluster, ClusterName, Counted, Host, HostId, HostStatus, Instance, InstanceId, InstanceState, Key, Mib,
    Phase, Plan, PlanGoal, PlanId, PlanStatus, PlanStep, Reason, Record,
};

/// Steps of one plan at most, so that a commit stays small.
const MOST_STEPS: usize = 4096;
/// Plans that ended and are forgotten at once at most, when another starts. The ledger's history keeps them.
const FORGOTTEN_AT_ONCE: usize = 8;

impl<'a> Draft<'a> {
    pub(super) fn start_plan(
        mut self,
        name: &ClusterName,
        goal: PlanGoal,
        empties: &BTreeSet<HostId>,
        steps: &[PlanStep],
    ) -> Result<Outcome, Refusal> {
        let cluster = self.cluster(name)?;
        let plans = || self.state.plans().filter(|plan| plan.cluster == cluster.id);
        let under_way = |plan: &Plan| {
            let there = |step: &PlanStep| self.state.instance(step.instance).is_some();
            plan.status == PlanStatus::Running
                && ((plan.begun as usize) < plan.steps.len() || plan.steps.iter().any(there))
        };
        if plans().any(under_way) {
            return Err(Refusal::PlanRunning { cluster: name.clone() });
        }
        if steps.len() > MOST_STEPS {
            return Err(out_of_range("steps", steps.len(), format!("at most {MOST_STEPS}")));
        }
        let ended: Vec<PlanId> = plans().map(|plan| plan.id).take(FORGOTTEN_AT_ONCE).collect();
        let mut replay = Replay { empties: empties.clone(), ..Replay::default() };
        for (number, step) in steps.iter().enumerate() {
            self.judge(cluster, step, &replay)
                .map_err(|why| Refusal::StepDoesNotFit { step: number as u32, why })
                .map(|instance| {
                    replay.make(step, instance, cluster.policy.overhead.booking(instance.memory))
                })?;
        }
        for id in ended {
            self.remove(Key::Plan { id });
        }
        for id in empties {
            let view = self.state.host(*id).filter(|view| view.host.cluster == cluster.id);
            let host = view.map(|view| view.host.clone());
            let host = host.ok_or_else(|| not_found(Object::Host, &id.to_string()))?;
            if matches!(host.status, HostStatus::Active | HostStatus::Cordoned) {
                let (status, revision) = (HostStatus::Draining, self.revision);
                self.put(Record::Host(Host { status, revision, ..host }));
            }
        }
        let id = PlanId::new(self.fresh_id());
        self.put(Record::Plan(Plan {
            id,
            cluster: cluster.id,
            goal,
            empties: empties.clone(),
            steps: steps.to_vec(),
            begun: 0,
            status: if steps.is_empty() { PlanStatus::Done } else { PlanStatus::Running },
            stopped_because: None,
            revision: self.revision,
        }));
        let detail = format!("{}, {} to empty", Counted(steps.len(), "move"), Counted(empties.len(), "host"));
        Ok(self.done("plan.start", target(name), detail, Key::Plan { id }))
    }

    pub(super) fn begin_step(mut self, id: PlanId, number: u32) -> Result<Outcome, Refusal> {
        let (plan, cluster) = self.running_plan(id)?;
        let step = plan.steps.get(number as usize);
        let Some(step) = step.filter(|_| number == plan.begun) else {
            let next = format!("{}, the next one", plan.begun);
            return Err(out_of_range("step", number, next));
        };
        let (name, subject) = (target(&cluster.name), Key::Plan { id });
        if plan.steps[..number as usize].iter().any(|it| self.state.instance(it.instance).is_some()) {
            return Err(Refusal::MoveUnderWay { plan: id });
        }
        let instance = match self.judge(cluster, step, &Replay::default()) {
            Ok(instance) => instance,
            Err(why) => {
                let why = format!("step {number}: {why}");
                self.stop(plan, &why);
                return Ok(self.done("plan.stop", name, why, subject));
            }
        };
        let port = self.state.host(step.to).and_then(|view| view.free_port(self.now));
        let port = port.ok_or_else(|| not_found(Object::Host, &step.to.to_string()))?;
        let copy = InstanceId::new(self.fresh_id());
        let (index, cache, memory) = (instance.index, instance.cache, instance.memory);
        let (moved_to, revision) = (Some(copy), self.revision);
        self.put(Record::Instance(Instance { moved_to, revision, ..instance.clone() }));
        self.start_instance(cluster, copy, (cache, index), memory, (step.to, port));
        self.put(Record::Plan(Plan { begun: number + 1, revision: self.revision, ..plan.clone() }));
        let detail = format!("step {number}: {memory} from {} to {}", step.from, step.to);
        Ok(self.done("plan.step", name, detail, subject))
    }

    pub(super) fn finish_move(mut self, id: InstanceId) -> Result<Outcome, Refusal> {
        let instance = self.state.instance(id).ok_or_else(|| not_found(Object::Instance, &id.to_string()))?;
        let (target, name) = self.describe(instance);
        let Some(copy) = instance.moved_to.and_then(|copy| self.state.instance(copy)) else {
            return Err(Refusal::NotMoving { name });
        };
        if copy.state() != InstanceState::Running {
            return Err(Refusal::CopyNotRunning { name });
        }
        if instance.phase != Phase::Releasing {
            let (phase, revision) = (Phase::Releasing, self.revision);
            self.put(Record::Instance(Instance { phase, revision, ..instance.clone() }));
        }
        Ok(self.done("instance.moved", target, name, Key::Instance { id }))
    }

    pub(super) fn stop_plan(mut self, id: PlanId, reason: &Reason) -> Result<Outcome, Refusal> {
        let (plan, cluster) = self.running_plan(id)?;
        self.stop(plan, reason.as_str());
        Ok(self.done("plan.stop", target(&cluster.name), reason.to_string(), Key::Plan { id }))
    }

    fn running_plan(&self, id: PlanId) -> Result<(&'a Plan, &'a Cluster), Refusal> {
        let plan = self.state.plan(id).filter(|plan| plan.status == PlanStatus::Running);
        let cluster = plan.and_then(|plan| self.state.cluster(plan.cluster));
        plan.zip(cluster).ok_or_else(|| not_found(Object::Plan, &id.to_string()))
    }

    fn stop(&mut self, plan: &Plan, why: &str) {
        let (status, stopped_because, revision) = (PlanStatus::Stopped, Some(why.to_owned()), self.revision);
        self.put(Record::Plan(Plan { status, stopped_because, revision, ..plan.clone() }));
    }

    /// A host that a running plan empties is opened again: the plan has lost its point.
    pub(super) fn stop_plans_of(&mut self, host: &Host) {
        let plans = self.state.plans().filter(|plan| plan.status == PlanStatus::Running);
        for plan in plans.filter(|plan| plan.empties.contains(&host.id)) {
            self.stop(plan, &format!("host {} was opened again", host.name));
        }
    }

    /// An instance is no more: a move of it is over, and with the last one its plan; a copy is no more: what it was
    /// to replace stays.
    pub(super) fn end_moves(&mut self, instance: &Instance) {
        for other in self.state.instances_of(instance.cache) {
            if other.moved_to == Some(instance.id) && other.phase != Phase::Releasing {
                let (moved_to, revision) = (None, self.revision);
                self.put(Record::Instance(Instance { moved_to, revision, ..other.clone() }));
            }
        }
        let gone =
            |step: &PlanStep| step.instance == instance.id || self.state.instance(step.instance).is_none();
        let done = self.state.plans().find(|plan| {
            plan.status == PlanStatus::Running
                && plan.begun as usize == plan.steps.len()
                && plan.steps.iter().any(|step| step.instance == instance.id)
                && plan.steps.iter().all(gone)
        });
        if let Some(plan) = done {
            let (status, revision) = (PlanStatus::Done, self.revision);
            self.put(Record::Plan(Plan { status, revision, ..plan.clone() }));
        }
    }

    /// Whether a step can be made once those before it were; what it moves, or why not.
    fn judge(&self, cluster: &Cluster, step: &PlanStep, before: &Replay) -> Result<&'a Instance, String> {
        let state = self.state;
        let instance = state.instance(step.instance).ok_or("the instance is gone")?;
        let cache = state.cache(instance.cache).filter(|cache| cache.cluster == cluster.id);
        let cache = cache.ok_or("the instance is of another cluster")?;
        if cache.releasing || instance.phase == Phase::Releasing {
            return Err("the instance is being released".into());
        }
        if instance.moved_to.is_some() || before.moved.contains_key(&instance.id) {
            return Err("the instance is being moved already".into());
        }
        let is_copy = |it: &Instance| it.moved_to == Some(instance.id);
        if state.instances_of(cache.id).any(is_copy) {
            return Err("the instance takes another's place at the moment".into());
        }
        if (instance.host, instance.port) != (step.from, step.port) {
            return Err(format!("the instance is on port {} of host {}", instance.port, instance.host));
        }
        if instance.memory != step.memory {
            return Err(format!("the instance has {}", instance.memory));
        }
        let view = state.host(step.to).filter(|view| view.host.cluster == cluster.id);
        let view = view.ok_or("the host it should go to is gone")?;
        if view.host.status != HostStatus::Active || before.empties.contains(&step.to) {
            return Err(format!("host {} takes no new instances", view.host.name));
        }
        if state.waits(&view.host) {
            return Err(format!("host {} was not looked at since the fleet was set back", view.host.name));
        }
        let there = before.booked(step.to, view.booked);
        let need = cluster.policy.overhead.booking(instance.memory);
        if there.plus(need) > cluster.policy.open_to_new(view.host.memory) {
            return Err(format!("host {} has no room for {need}", view.host.name));
        }
        let issued = before.issued.get(&step.to).copied().unwrap_or_default();
        if view.free_ports(self.now) <= issued {
            return Err(format!("host {} has no free port", view.host.name));
        }
        let others = || state.instances_of(cache.id).filter(|it| it.id != instance.id);
        if step.from == step.to || others().any(|it| before.host(it) == step.to) {
            return Err(format!("host {} has an instance of the cache", view.host.name));
        }
        let rack = |host: HostId| state.host(host).map(|view| &view.host.rack);
        // Within a rack a move changes nothing for it, though it were over its limit.
        if let Some(most) = cache.max_per_rack
            && rack(step.from) != Some(&view.host.rack)
        {
            let of_rack = |it: &&Instance| rack(before.host(it)) == Some(&view.host.rack);
            if others().filter(of_rack).count() >= usize::from(most) {
                return Err(format!(
                    "the rack of host {} has as many of the cache as it may",
                    view.host.name
                ));
            }
        }
        Ok(instance)
    }
}

/// What the steps before have changed.
#[derive(Debug, Default)]
struct Replay {
    /// Hosts that take nothing because the plan empties them.
    empties: BTreeSet<HostId>,
    moved: HashMap<InstanceId, HostId>,
    came: HashMap<HostId, Mib>,
    left: HashMap<HostId, Mib>,
    issued: HashMap<HostId, usize>,
}

impl Replay {
    fn host(&self, instance: &Instance) -> HostId {
        self.moved.get(&instance.id).copied().unwrap_or(instance.host)
    }

    fn booked(&self, host: HostId, now: Mib) -> Mib {
        let of = |map: &HashMap<HostId, Mib>| map.get(&host).copied().unwrap_or_default();
        now.plus(of(&self.came)).minus(of(&self.left))
    }

    /// The step is over: the copy is there, and the old one gone.
    fn make(&mut self, step: &PlanStep, instance: &Instance, need: Mib) {
        self.moved.insert(instance.id, step.to);
        let came = self.came.entry(step.to).or_default();
        *came = came.plus(need);
        let left = self.left.entry(step.from).or_default();
        *left = left.plus(instance.booked);
        *self.issued.entry(step.to).or_default() += 1;
    }
}

fn target(cluster: &ClusterName) -> String {
    format!("cluster:{cluster}")
}
