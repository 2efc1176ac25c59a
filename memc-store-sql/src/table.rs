//! The tables that records live in, and a record's way into its row and back.

use std::fmt::Display;
use std::net::IpAddr;

use memc_core::ledger::Receipt;
use memc_core::model::{
    Cache, CacheId, Cluster, ClusterId, FleetRecord, Host, HostId, Instance, InstanceId, Key, Mib,
    ObserverId, Plan, PlanId, Port, PortRange, Quota, Record, Request, RetiredPort, Revision, Team, TeamId,
    Timestamp,
};

use crate::value::{Fields, Type, Unreadable, Value};

/// A table of records; the order of its columns is that of a row's values.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// How many of the columns, from the first, are the primary key.
    pub(crate) key: usize,
    pub(crate) columns: &'static [(&'static str, Type)],
    pub(crate) read: fn(&mut Fields<'_>) -> Result<Record, Unreadable>,
}

use Type::{Bytes, Integer, Json, Text};

/// Every table of records, in the order in which records are loaded: what is referred to comes first.
pub(crate) const TABLES: [Table; 10] = [
    Table {
        name: "fleet",
        key: 1,
        // What is given out in every turn, the last number, is in `commits`: no row is updated for it.
        columns: &[("only_row", Integer), ("id", Text), ("epoch", Integer)],
        read: fleet,
    },
    Table {
        name: "clusters",
        key: 1,
        columns: &[
            ("id", Integer),
            ("name", Text),
            ("first_port", Integer),
            ("last_port", Integer),
            ("policy", Json),
            ("revision", Integer),
        ],
        read: cluster,
    },
    Table {
        name: "hosts",
        key: 1,
        columns: &[
            ("id", Integer),
            ("name", Text),
            ("cluster", Integer),
            ("address", Text),
            ("memory_mib", Integer),
            ("rack", Text),
            ("status", Text),
            ("blocked_ports", Json),
            ("found_ports", Json),
            ("observed_epoch", Integer),
            ("served", Integer),
            ("served_at_ms", Integer),
            ("revision", Integer),
        ],
        read: host,
    },
    Table {
        name: "teams",
        key: 1,
        columns: &[("id", Integer), ("name", Text), ("revision", Integer)],
        read: team,
    },
    Table {
        name: "quotas",
        key: 2,
        columns: &[("cluster", Integer), ("team", Integer), ("memory_mib", Integer), ("revision", Integer)],
        read: quota,
    },
    Table {
        name: "caches",
        key: 1,
        columns: &[
            ("id", Integer),
            ("team", Integer),
            ("name", Text),
            ("cluster", Integer),
            ("memory_mib", Integer),
            ("instances", Integer),
            ("max_per_rack", Integer),
            ("releasing", Integer),
            ("created_at_ms", Integer),
            ("created_by", Text),
            ("revision", Integer),
        ],
        read: cache,
    },
    Table {
        name: "instances",
        key: 1,
        columns: &[
            ("id", Integer),
            ("cache", Integer),
            ("place", Integer),
            ("host", Integer),
            ("port", Integer),
            ("memory_mib", Integer),
            ("booked_mib", Integer),
            ("phase", Text),
            ("moved_to", Integer),
            ("observed_mib", Integer),
            ("seen_by", Integer),
            ("revision", Integer),
        ],
        read: instance,
    },
    Table {
        name: "retired_ports",
        key: 2,
        columns: &[
            ("host", Integer),
            ("port", Integer),
            ("instance", Integer),
            ("reusable_at_ms", Integer),
            ("revision", Integer),
        ],
        read: retired_port,
    },
    Table {
        name: "plans",
        key: 1,
        columns: &[
            ("id", Integer),
            ("cluster", Integer),
            ("goal", Text),
            ("empties", Json),
            ("steps", Json),
            ("begun", Integer),
            ("status", Text),
            ("stopped_because", Text),
            ("revision", Integer),
        ],
        read: plan,
    },
    Table {
        name: "requests",
        key: 2,
        columns: &[
            ("principal", Text),
            ("id", Text),
            ("digest", Text),
            ("revision", Integer),
            ("at_ms", Integer),
            ("subject", Json),
        ],
        read: request,
    },
];

impl Table {
    /// Whether its rows have numbers that the fleet gives out.
    pub(crate) fn is_numbered(&self) -> bool {
        self.columns[0].0 == "id"
    }
}

/// How many of the columns of `commits` are a commit's.
pub(crate) const COMMIT_READ: usize = 10;

/// The columns of `commits`, in the order in which they are written and read.
pub(crate) const COMMIT: [(&str, Type); COMMIT_READ + 1] = [
    ("revision", Integer),
    ("id", Bytes),
    ("previous", Bytes),
    ("at_ms", Integer),
    ("actor", Text),
    ("action", Text),
    ("target", Text),
    ("detail", Text),
    ("request", Text),
    // JSON, in a column that takes any text on PostgreSQL.
    ("changes", Text),
    ("last_id", Integer),
];

/// A key's table, as its place in [`TABLES`], and the values of its key columns.
pub(crate) fn key(key: &Key) -> (usize, Vec<Value>) {
    match key {
        Key::Fleet => (0, vec![Value::Integer(1)]),
        Key::Cluster { id } => (1, vec![Value::integer(id.get())]),
        Key::Host { id } => (2, vec![Value::integer(id.get())]),
        Key::Team { id } => (3, vec![Value::integer(id.get())]),
        Key::Quota { cluster, team } => (4, vec![Value::integer(cluster.get()), Value::integer(team.get())]),
        Key::Cache { id } => (5, vec![Value::integer(id.get())]),
        Key::Instance { id } => (6, vec![Value::integer(id.get())]),
        Key::RetiredPort { host, port } => (7, vec![Value::integer(host.get()), Value::integer(port.get())]),
        Key::Plan { id } => (8, vec![Value::integer(id.get())]),
        Key::Request { principal, id } => (9, vec![Value::text(principal), Value::text(id)]),
    }
}

/// A record's table, as its place in [`TABLES`], and its row.
pub(crate) fn row(record: &Record) -> (usize, Vec<Value>) {
    let (table, mut row) = key(&record.key());
    let revision = |revision: Revision| Value::integer(revision.get());
    let time = |time: Timestamp| Value::integer(time.as_millis());
    let mib = |memory: Mib| Value::integer(memory.get());
    match record {
        Record::Fleet(it) => {
            row.extend([Value::text(it.id), Value::integer(it.epoch)]);
        }
        Record::Cluster(it) => row.extend([
            Value::text(&it.name),
            Value::integer(it.ports.first.get()),
            Value::integer(it.ports.last.get()),
            Value::json(&it.policy),
            revision(it.revision),
        ]),
        Record::Host(it) => row.extend([
            Value::text(&it.name),
            Value::integer(it.cluster.get()),
            Value::text(it.address),
            mib(it.memory),
            Value::optional(it.rack.as_ref().map(Value::text)),
            Value::word(&it.status),
            Value::json(&it.blocked_ports),
            Value::json(&it.found_ports),
            Value::integer(it.observed_epoch),
            revision(it.served),
            Value::optional(it.served_at.map(time)),
            revision(it.revision),
        ]),
        Record::Team(it) => row.extend([Value::text(&it.name), revision(it.revision)]),
        Record::Quota(it) => row.extend([mib(it.memory), revision(it.revision)]),
        Record::Cache(it) => row.extend([
            Value::integer(it.team.get()),
            Value::text(&it.name),
            Value::integer(it.cluster.get()),
            mib(it.memory),
            Value::integer(it.instances),
            Value::optional(it.max_per_rack.map(Value::integer)),
            Value::integer(i64::from(it.releasing)),
            time(it.created_at),
            Value::text(&it.created_by),
            revision(it.revision),
        ]),
        Record::Instance(it) => row.extend([
            Value::integer(it.cache.get()),
            Value::integer(it.index),
            Value::integer(it.host.get()),
            Value::integer(it.port.get()),
            mib(it.memory),
            mib(it.booked),
            Value::word(&it.phase),
            Value::optional(it.moved_to.map(|id| Value::integer(id.get()))),
            Value::optional(it.observed.map(mib)),
            Value::optional(it.seen_by.map(|observer| Value::integer(observer.get()))),
            revision(it.revision),
        ]),
        Record::RetiredPort(it) => {
            row.extend([Value::integer(it.instance.get()), time(it.reusable_at), revision(it.revision)]);
        }
        Record::Plan(it) => row.extend([
            Value::integer(it.cluster.get()),
            Value::word(&it.goal),
            Value::json(&it.empties),
            Value::json(&it.steps),
            Value::integer(it.begun),
            Value::word(&it.status),
            Value::optional(it.stopped_because.as_ref().map(Value::text)),
            revision(it.revision),
        ]),
        Record::Request(it) => row.extend([
            Value::text(&it.digest),
            revision(it.receipt.revision),
            time(it.receipt.at),
            Value::json(&it.receipt.subject),
        ]),
    }
    (table, row)
}

fn fleet(fields: &mut Fields<'_>) -> Result<Record, Unreadable> {
    fields.number()?;
    // Whoever reads it knows the last number.
    Ok(Record::Fleet(FleetRecord { id: fields.parse()?, epoch: fields.narrow()?, last_id: 0 }))
}

fn cluster(fields: &mut Fields<'_>) -> Result<Record, Unreadable> {
    Ok(Record::Cluster(Cluster {
        id: ClusterId::new(fields.number()?),
        name: fields.parse()?,
        ports: PortRange { first: fields.narrow::<Port>()?, last: fields.narrow::<Port>()? },
        policy: fields.json()?,
        revision: Revision::new(fields.number()?),
    }))
}

fn host(fields: &mut Fields<'_>) -> Result<Record, Unreadable> {
    Ok(Record::Host(Host {
        id: HostId::new(fields.number()?),
        name: fields.parse()?,
        cluster: ClusterId::new(fields.number()?),
        address: fields.parse::<IpAddr>()?,
        memory: fields.narrow()?,
        rack: fields.optional_parse()?,
        status: fields.word()?,
        blocked_ports: fields.json()?,
        found_ports: fields.json()?,
        observed_epoch: fields.narrow()?,
        served: Revision::new(fields.number()?),
        served_at: fields.optional_number()?.map(Timestamp::from_millis),
        revision: Revision::new(fields.number()?),
    }))
}

fn team(fields: &mut Fields<'_>) -> Result<Record, Unreadable> {
    Ok(Record::Team(Team {
        id: TeamId::new(fields.number()?),
        name: fields.parse()?,
        revision: Revision::new(fields.number()?),
    }))
}

fn quota(fields: &mut Fields<'_>) -> Result<Record, Unreadable> {
    Ok(Record::Quota(Quota {
        cluster: ClusterId::new(fields.number()?),
        team: TeamId::new(fields.number()?),
        memory: fields.narrow()?,
        revision: Revision::new(fields.number()?),
    }))
}

fn cache(fields: &mut Fields<'_>) -> Result<Record, Unreadable> {
    Ok(Record::Cache(Cache {
        id: CacheId::new(fields.number()?),
        team: TeamId::new(fields.number()?),
        name: fields.parse()?,
        cluster: ClusterId::new(fields.number()?),
        memory: fields.narrow()?,
        instances: fields.narrow()?,
        max_per_rack: optional_narrow(fields)?,
        releasing: fields.number()? != 0,
        created_at: Timestamp::from_millis(fields.number()?),
        created_by: fields.parse()?,
        revision: Revision::new(fields.number()?),
    }))
}

fn instance(fields: &mut Fields<'_>) -> Result<Record, Unreadable> {
    Ok(Record::Instance(Instance {
        id: InstanceId::new(fields.number()?),
        cache: CacheId::new(fields.number()?),
        index: fields.narrow()?,
        host: HostId::new(fields.number()?),
        port: fields.narrow()?,
        memory: fields.narrow()?,
        booked: fields.narrow()?,
        phase: fields.word()?,
        moved_to: fields.optional_number()?.map(InstanceId::new),
        observed: optional_narrow(fields)?,
        seen_by: optional_observer(fields)?,
        revision: Revision::new(fields.number()?),
    }))
}

fn optional_observer(fields: &mut Fields<'_>) -> Result<Option<ObserverId>, Unreadable> {
    Ok(optional_narrow(fields)?.map(ObserverId::from_number))
}

fn optional_narrow<T: TryFrom<u64, Error: Display>>(
    fields: &mut Fields<'_>,
) -> Result<Option<T>, Unreadable> {
    let number = fields.optional_number()?;
    number.map(|number| T::try_from(number).map_err(|error| Unreadable(error.to_string()))).transpose()
}

fn plan(fields: &mut Fields<'_>) -> Result<Record, Unreadable> {
    Ok(Record::Plan(Plan {
        id: PlanId::new(fields.number()?),
        cluster: ClusterId::new(fields.number()?),
        goal: fields.word()?,
        empties: fields.json()?,
        steps: fields.json()?,
        begun: fields.narrow()?,
        status: fields.word()?,
        stopped_because: fields.optional_text()?.map(Into::into),
        revision: Revision::new(fields.number()?),
    }))
}

fn retired_port(fields: &mut Fields<'_>) -> Result<Record, Unreadable> {
    Ok(Record::RetiredPort(RetiredPort {
        host: HostId::new(fields.number()?),
        port: fields.narrow()?,
        instance: InstanceId::new(fields.number()?),
        reusable_at: Timestamp::from_millis(fields.number()?),
        revision: Revision::new(fields.number()?),
    }))
}

fn request(fields: &mut Fields<'_>) -> Result<Record, Unreadable> {
    Ok(Record::Request(Request {
        principal: fields.parse()?,
        id: fields.parse()?,
        digest: fields.text()?.into(),
        receipt: Receipt {
            revision: Revision::new(fields.number()?),
            at: Timestamp::from_millis(fields.number()?),
            subject: fields.json()?,
        },
    }))
}
