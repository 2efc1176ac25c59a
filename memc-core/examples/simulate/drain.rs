//! Emptying a host.

use std::collections::BTreeSet;

use memc_core::ledger::{Command, Inconsistent, Seen};
use memc_core::model::{Instance, InstanceId, Key, ObserverId, PlanGoal, PlanStep};
use memc_core::placement::plan::{Answer, Budget, check, drain as find};

use crate::agree::{host_name, number};
use crate::ledger::name;
use crate::life::Life;

/// Nodes of the search for moves.
const WORK: u64 = 100_000;

/// What it came to.
#[derive(Debug, Default)]
pub(crate) struct Drained {
    /// Memory of the instances that were moved, MiB.
    pub(crate) moved_mib: u64,
    /// Hosts for which it was not decided within the limit of work whether they can be emptied.
    pub(crate) undecided: u64,
}

/// Empty a host: find moves, start the plan, and make each step as hosts and observers would. Where no moves empty it,
/// it is only closed.
pub(crate) fn drain(life: &mut Life, at: usize) -> Result<Drained, Inconsistent> {
    let mut drained = Drained::default();
    let state = &life.ledger.state;
    let (Some(cluster), Some(view)) = (state.clusters().next(), state.host_named(&name(&host_name(at))))
    else {
        return Ok(drained);
    };
    let (cluster, layout) = (cluster.name.clone(), state.layout(cluster.id, life.ledger.now()));
    let found = match find(&layout, view.host.id, WORK) {
        Answer::Plan(found) => found,
        answer => {
            match &answer {
                Answer::Infeasible(proof) => eprintln!("{} stays: {proof}", host_name(at)),
                _ => drained.undecided = 1,
            }
            life.must(Command::CordonHost { name: name(&host_name(at)) })?;
            life.second.cordon(at);
            return Ok(drained);
        }
    };
    let sound = check(&layout, &found, Budget::UNLIMITED).is_ok();
    let step = |step: &memc_core::placement::plan::Step| {
        let instance = state.instance(step.instance)?;
        let (from, port, memory) = (instance.host, instance.port, instance.memory);
        Some(PlanStep { instance: step.instance, from, port, memory, to: step.to })
    };
    let steps: Vec<PlanStep> = found.steps.iter().filter_map(step).collect();
    let (goal, empties) = (PlanGoal::Drain, BTreeSet::from([view.host.id]));
    if !sound {
        life.violation("plan");
    }
    let command = Command::StartPlan { cluster, goal, empties, steps: steps.clone() };
    let plan = match life.submit(command)?.map(|decision| decision.receipt.subject) {
        Ok(Key::Plan { id }) => id,
        other => {
            eprintln!("{other:?}");
            life.violation("plan");
            return Ok(drained);
        }
    };
    life.second.drain(at);
    life.check(&[at]);
    for (place, step) in steps.iter().enumerate() {
        life.must(Command::BeginStep { plan, step: place as u32 })?;
        drained.moved_mib += step.memory.get();
        make(life, step)?;
    }
    Ok(drained)
}

/// The copy begins, is seen to run, and what it replaces stops.
fn make(life: &mut Life, step: &PlanStep) -> Result<(), Inconsistent> {
    let state = &life.ledger.state;
    let host = |id| {
        let view = state.host(id)?;
        number(view.host.name.as_str()).map(|at| at as usize)
    };
    let cache = state.instance(step.instance).and_then(|it| state.cache(it.cache));
    let cache = cache.and_then(|cache| number(cache.name.as_str()));
    let (Some(cache), Some(from), Some(to)) = (cache, host(step.from), host(step.to)) else {
        life.violation("plan");
        return Ok(());
    };
    if let Some(flaw) = life.second.copy(cache, from, to, life.ledger.now) {
        life.violation(flaw);
    }
    life.check(&[from, to]);
    let now_is = |life: &Life, id: InstanceId| life.ledger.state.instance(id).cloned();
    let copy: Option<Instance> =
        now_is(life, step.instance).and_then(|old| old.moved_to).and_then(|copy| now_is(life, copy));
    if let Some(copy) = copy {
        let (memory, observer) = (copy.memory, ObserverId::of("here"));
        life.confirm(&copy, Seen::Running { memory, within: true, observer })?;
    }
    life.must(Command::FinishMove { instance: step.instance })?;
    if let Some(process) = life.second.hosts[from].of(cache) {
        process.releasing = true;
    }
    life.check(&[from]);
    if let Some(old) = now_is(life, step.instance)
        && let Some(view) = life.ledger.state.host(old.host)
    {
        let (host, document) = (view.host.name.clone(), life.ledger.state.document_revision(view));
        life.must(Command::NoteServed { host, document })?;
        life.confirm(&old, Seen::Stopped)?;
    }
    life.second.moved_away(cache, from, life.ledger.now);
    life.check(&[from, to]);
    Ok(())
}
