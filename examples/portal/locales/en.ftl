# Everything the pages say, in English. The same keys stand in zh.ftl, in the same order.

## The frame

app-name = Memcached
skip = Skip to the content
nav-main = Main
nav-caches = My caches
nav-admin = Administration
nav-account = My account
nav-logout = Sign out
nav-clusters = Clusters
nav-hosts = Hosts
nav-teams = Teams
nav-users = Users
nav-audit = Audit
nav-findings = Findings
nav-language = Language
banner-stale = The store is away. What you see is from { $when }; changes are not possible until it is back.
banner-findings =
    { $n ->
        [one] There is a finding that operators should look at.
       *[other] There are { $n } findings that operators should look at.
    }
banner-risks = This store could lose changes that it acknowledged. The portal was told to accept that, or does not write until it is put right:

## Words that several pages use

add = Add
as-it-is = { $word }
back-to = Back to { $name }
booked-size = { $size } booked
cache = Cache
caches = Caches
cancel = Cancel
choose = Choose…
cluster = Cluster
copied = Copied
copy = Copy
create = Create
endpoint = Endpoint
host = Host
instance = Instance
instances = Instances
list-and = { $first }; { $next }
members = Members
memory = Memory
name = Name
none = None
optional = (optional)
port = Port
ports = Ports
quotas = Quotas
rack = Rack
rack-named = rack { $rack }
rack-hint = Hosts with the same rack fail together; the instances of one cache are spread over racks.
reason = Reason
reason-hint = It stays in the history, with your name. One line.
remove = Remove
save = Save
state = State
team = Team
team-name = Team { $name }
user = User
size-each = { $n } × { $memory }
bar-booked = { $booked } of { $memory } booked
quota-in = Cluster { $cluster }
quota-of = Quota of team { $team } in cluster { $cluster }
quota-used = { $used } of { $limit } used
quota-change = { $before } → { $after } of { $limit }
ago-seconds =
    { $n ->
        [one] a second ago
       *[other] { $n } seconds ago
    }
ago-minutes =
    { $n ->
        [one] a minute ago
       *[other] { $n } minutes ago
    }
ago-hours =
    { $n ->
        [one] an hour ago
       *[other] { $n } hours ago
    }
ago-days =
    { $n ->
        [one] a day ago
       *[other] { $n } days ago
    }

## What was just done

done-created = The cache is being set up. It usually runs within a minute.
done-resized = The new size is on its way to the hosts.
done-unchanged = The cache has this size already. Nothing was changed.
done-gone = The cache has been released.
done-released = The cache is being released.
done-replaced = The missing instances have been placed.
done-stopped = Your statement is on record, and the instance counts as stopped.
done-saved = Saved.
done-added = Added.
done-removed = Removed.
done-password = The password has been changed.
done-revoked = The token has been revoked.

## Errors

error-home = Go to my caches
error-not-found = There is nothing here
error-not-found-todo = The address is wrong, what was here is gone, or it belongs to a team that you are not in.
error-forbidden = This is for administrators
error-forbidden-todo = Ask one of them if you need it.
error-expired = This form has expired
error-expired-todo = Nothing was changed. Go back, reload the page and send the form again.
error-malformed = This request makes no sense to us
error-malformed-todo = Nothing was changed. Go back and use the form on the page.
error-unavailable = Not available right now
error-unavailable-todo = A database does not answer. Nothing was changed; try again in a moment. Running caches are not affected.
error-internal = Something is wrong on our side
error-internal-todo = The server's log says what. Try again, and tell an operator if it stays.

## Fields

field-empty = This is needed.
field-choose = Choose one of the list.
field-range = Enter a whole number from { $least } to { $most }.
field-slug = 1 to 40 lower-case letters, digits and hyphens; no hyphen at the start or end.
field-user-name = 1 to 64 of a-z, 0-9, dot, underscore and hyphen; starts with a letter or digit.
field-host-name = Letters, digits, dots, underscores and hyphens; starts with a letter or digit.
field-address = Enter an IP address, such as 10.0.0.11.
field-rack = 1 to 64 letters, digits and . _ - /; starts with a letter or digit.
field-ports = Enter ports from 1024 to 65535, separated by spaces.
field-reason = Enter one line of at most 500 characters.

## Signing in

login-title = Sign in
login-intro = Get memcached for your team, without waiting for anyone.
login-name = User name
login-password = Password
login-submit = Sign in
login-wrong = The name or the password is wrong.
login-throttled =
    { $seconds ->
        [one] Too many attempts. Try again in a second.
       *[other] Too many attempts. Try again in { $seconds } seconds.
    }

## My account

account-title = My account
account-teams = Teams:
account-no-teams = You are in no team yet. An administrator can add you to one.
account-tokens = API tokens
account-tokens-intro = A token lets a program act as you through /api/v1. Treat it like a password.
account-token-label = What is it for?
account-token-label-hint = So that you recognise it later.
account-token-label-rule = At most 100 characters, on one line.
account-token-create = Create a token
account-token-created = Created
account-token-once = Copy this token now: it is not shown again.
account-token-revoke = Revoke
account-token-revoke-this = Revoke { $label }
account-language = Language
account-language-browser = As the browser asks
account-password = Password
account-password-old = Current password
account-password-new = New password
account-password-again = New password, again
account-password-rule = At least 8 characters.
account-password-wrong = This is not your current password.
account-passwords-differ = The two are not the same.
account-password-change = Change password

## My caches

caches-title = My caches
caches-create = Create a cache
caches-empty = This team has no caches yet. Create the first one: it runs within about a minute.
caches-no-team = You are in no team yet, and caches belong to teams. Ask an administrator to add you to one.
caches-no-team-admin = You are in no team yet, and caches belong to teams. Create a team, give it a quota and add its members.
caches-no-quota = This team may not ask for memory yet. An administrator can give it a quota.
cache-name = Name
cache-size = Memory
glance-running = Running
glance-pending = { $running } of { $all } running
glance-resizing = Changing size
glance-shrinking = Shrinking
glance-releasing = Releasing
glance-missing =
    { $n ->
        [one] One instance missing
       *[other] { $n } instances missing
    }

## Creating a cache

create-title = Create a cache
create-nothing = There is no team or no cluster to choose yet. An administrator can set them up.
create-left = { $left } left for team { $team }
create-no-quota = no quota for your teams
create-name-hint = 1 to 40 lower-case letters, digits and hyphens. It cannot be changed later.
create-memory = Memory of each instance, MiB
create-memory-hint = From 8 MiB. It can be changed while the cache runs.
create-instances = Instances
create-instances-hint = Each runs on a host of its own. Your client spreads the keys over them.
create-more = More choices
create-max-per-rack = At most so many on one rack
create-max-per-rack-hint = From 1. Leave it empty for any number: the instances are spread over racks in any case.
create-preview = Preview
preview-title = This is what you would get
preview-intro = Nothing has been created yet.
preview-asked = Memory asked for
preview-asked-sum = { $each } = { $total }
preview-asked-hint = This counts against the quota.
preview-booked = Set aside on the hosts
preview-set-aside = Set aside
preview-booked-hint = With what memcached needs beyond the items. It does not count against the quota.
preview-where = Where it would run
preview-may-change = Hosts and ports are settled when you confirm; if others ask at the same time, they can differ.
preview-confirm = Create the cache
preview-back = Change something

## A cache

cache-facts = { $size } · cluster { $cluster } · team { $team }
max-per-rack = at most { $n } on one rack
cache-missing =
    { $n ->
        [one] One instance is missing because its host was lost.
       *[other] { $n } instances are missing because their hosts were lost.
    }
cache-endpoints = Endpoints
cache-endpoints-hint = Give these to your memcached client:
cache-telnet-hint = To try it by hand:
cache-no-endpoints = No instance is left. Replace the missing ones to get endpoints again.
cache-releasing-note = The memory counts against the quota, and the name stays taken, until the last instance has stopped.
state-pending = Starting
state-resizing = Changing size
state-silent = Not answering
state-running = Running
state-shrinking = Shrinking
state-releasing = Stopping
why-host-lost = The host was stated to be lost.
why-not-fetched = Waiting for host { $host }: it has not asked what to run since this change (last { $ago }). Hosts ask about once a minute.
why-never-fetched = Waiting for host { $host } to ask what to run. Hosts ask about once a minute; if this stays, tell operations.
why-silent = Port { $port } did not answer when it was last asked. The host starts it again by itself when it runs; if this stays, tell operations.
why-not-seen = The host knows. Waiting for memcached to be seen on port { $port }.
why-unclear = The host knows, but port { $port } gives the portal no clear answer: the network may be in the way, or another program has the port.
why-other-size = The host knows. It was last seen with { $seen }; waiting to see { $memory }.
why-memory-not-back = { $booked } stays set aside until memcached is seen to have given memory back down to { $memory }.
why-port-answers = The host knows. Waiting for port { $port } to stop answering.
why-stop-unclear = The host knows. Port { $port } gives the portal no clear answer, which is no proof that it has stopped; if this stays, an operator has to confirm it.
why-never-seen = It was never seen running, so a closed port is no proof that it has stopped. An operator has to confirm it.
why-ask-operator = Ask an operator to confirm that it has stopped.
history = History
history-when = When
history-who = Who
history-what = What
history-away = The history cannot be read right now: the store is away.

## Changing a cache

resize-link = Resize
resize-title = Resize { $name }
resize-now = Now: { $size }.
resize-range = From 8 MiB to { $most }.
resize-grow-note = Growing keeps every item and restarts nothing.
resize-shrink-note = The new limit holds at once. A cache that is fuller than that keeps what it holds for now, and the host keeps the memory set aside until it is seen to have been given back.
resize-no-growth = It cannot grow at all right now.
resize-submit = Resize
release-link = Release
release-title = Release { $name }
release-what = This stops the cache ({ $size }, cluster { $cluster }). Everything in it is lost, and it cannot be undone.
release-then = Its endpoints are not given to anyone else for a while, so that clients with an old list do not read another team's data.
release-confirm = Type { $name } to confirm
release-confirm-wrong = Type exactly { $name }.
release-submit = Release the cache
replace-title = Replace missing instances of { $name }
replace-note = New instances start empty on other hosts and have new endpoints. The other instances are not touched.
replace-nothing = No instance is missing.
replace-submit = Replace missing instances
stopped-link = Confirm that it has stopped
stopped-title = Confirm that an instance has stopped
stopped-what = Instance { $name }.{ $index } on host { $host }, { $address } port { $port }.
stopped-risk = Do this only if you know that no memcached runs there any more. Its memory is then given to others at once, and its port after the cool-down.
stopped-submit = It has stopped

## Administration: clusters

cluster-title = Cluster { $name }
cluster-new = New cluster
clusters-empty = There are no clusters yet. Create one, add hosts to it, then give teams a quota.
cluster-first-port = First port
cluster-last-port = Last port
cluster-ports-reversed = The last port must not be below the first.
cluster-rules = Rules
cluster-rules-hint = They count for what is asked for from then on; what is booked stays booked as it is.
policy-max-instance = Largest instance, MiB
policy-max-instance-hint = { $least } to { $most }.
policy-max-instances = Most instances of a cache
policy-max-instances-hint = { $least } to { $most }.
policy-order = Where a new instance goes
policy-order-pack = To the fullest host with room: keeps large holes for large requests
policy-order-balance = To the emptiest host: keeps load even
policy-order-missing = Choose where a new instance goes.
policy-fill-limit = Most memory booked, percent of the cluster
policy-fill-limit-hint = { $least } to { $most }. Below 100, what is left can take what a lost host had.
policy-headroom = Kept for growing, percent of each host
policy-headroom-hint = { $least } to { $most }. New instances use it only where there is no other place and the cluster as a whole keeps half as much again free, so that those on the host can grow without moving.
policy-cool-down = Cool-down of ports, hours
policy-cool-down-hint = { $least } to { $most }. For so long a port stays unused after its instance has stopped.
policy-connections = Connections of an instance
policy-connections-hint = { $least } to { $most }. memcached's -c.
overhead-title = Overhead
overhead-hint = What a host books for an instance beyond its memory: a share plus a base, at least the floor, plus connections.
overhead-percent = Share of the memory, percent
overhead-percent-hint = { $least } to { $most }.
overhead-base = Base, MiB
overhead-base-hint = { $least } to { $most }. Added to the share.
overhead-floor = Floor, MiB
overhead-floor-hint = { $least } to { $most }. The least for share and base together.
overhead-connections = Active connections
overhead-connections-hint = { $least } to { $most }. Expected at the same time.
overhead-connection = Memory of a connection, KiB
overhead-connection-hint = { $least } to { $most }.
cluster-remove-title = Remove cluster { $name }
cluster-remove-explained = Only a cluster without hosts and caches can be removed. Its quotas go with it.

## Administration: hosts

host-new = Add a host
hosts-no-cluster = Hosts belong to clusters, and there is none yet.
hosts-empty = This cluster has no hosts yet.
host-active = Active
host-cordoned = Cordoned
host-draining = Being emptied
host-lost = Lost
host-waits = Waits
host-waits-look = Nobody has looked at its ports yet.
host-waits-answer = Port { $port } neither accepted nor refused a connection.
host-waits-running = The instance on port { $port } does not run yet.
host-waits-note = The fleet was set back to a backup. Until its ports were looked at, this host gets nothing new, and what is on it does not grow.
host-found-at = Unknown on { $ports }
host-found = Ports found in use
host-found-hint = They are not given out. Take a port off this list once nothing unknown listens there any more.
host-found-note = Since the fleet was set back to a backup, something that it does not know listens here: { $ports }. Perhaps it is an instance from after the backup. Stop it on the host, then take its port off the list below.
host-observed-link = State that it may be used…
host-observed-title = Use host { $name } without a look at it
host-observed-what = Something may run there that the fleet does not know, since it was set back to a backup: another team could get its port. First block the ports that you know are in use.
host-observed-submit = The host may be used
hosts-wait =
    { $n ->
        [one] One host gets nothing new until its ports were looked at, since the fleet was set back to a backup.
       *[other] { $n } hosts get nothing new until their ports were looked at, since the fleet was set back to a backup.
    }
host-fetched = Last pillar fetch
host-never-fetched = Not seen yet
host-fetched-note = The last fetch is noted by each portal process since it started.
host-name = Name
host-name-hint = Exactly the host's Salt minion id.
host-address = Address
host-address-hint = The IP address that instances listen on and clients connect to.
host-address-change-hint = It can be changed only while no instance is on the host.
host-memory = Memory for instances, MiB
host-memory-hint = What memcached may use on this host. Below what is booked is allowed: it stops growth.
host-blocked = Ports never to use
host-blocked-hint = Separated by spaces, such as 11211 11300.
host-facts = Cluster { $cluster } · { $address }
host-free = { $free } free
host-no-instances = No instances.
host-ports-retired =
    { $n ->
        [one] One port had an instance before; it is given out last, after its cool-down.
       *[other] { $n } ports had an instance before; they are given out last, after their cool-down.
    }
host-ports-blocked =
    { $n ->
        [one] One port had an instance before; it stays blocked until the host is back.
       *[other] { $n } ports had an instance before; they stay blocked until the host is back.
    }
host-change = Change
host-steps = In and out of service
host-cordon = Cordon
host-cordon-note = A cordoned host gets no new instances. The ones on it stay and may grow.
host-uncordon = Uncordon
host-uncordon-note = The host is cordoned: it gets no new instances. The ones on it stay and may grow.
host-draining-note = The host is being emptied: it gets no new instances, and the ones on it do not grow. Uncordon it to stop that.
host-back = Take back into service
host-back-note = The host was stated to be lost. When it is back, it first stops what it had; its ports are free again after the cool-down.
host-lost-link = State that it is lost…
host-lost-title = Host { $name } is lost
host-lost-what =
    { $n ->
        [0] There are no instances on it.
        [one] The instance on it is given up. Its team can replace it on another host.
       *[other] The { $n } instances on it are given up. Their teams can replace them on other hosts.
    }
host-lost-then = Use this when the host will not come back soon. If it does come back, it stops what it had before it gets anything new.
host-lost-submit = The host is lost
host-remove-link = Remove…
host-remove-title = Remove host { $name }
host-remove-explained = Only a host without instances can be removed. Its pillar is then unknown to Salt.

## Administration: teams and users

team-new = New team
teams-empty = There are no teams yet. Create one, give it a quota in a cluster and add its members.
team-no-quotas = This team may not ask for memory anywhere yet.
team-no-members = Nobody is in this team yet.
quota-set = Set quota
quota-memory = Quota, MiB
quota-memory-hint = Memory × instances that the team may ask for. Below what it uses is allowed: it stops growth.
member-add = Add to the team
member-remove = Take out
member-remove-this = Take { $name } out of the team
team-remove-title = Remove team { $name }
team-remove-explained = Only a team without caches can be removed. Its quotas go with it; its members stay users.
user-new = New user
user-admin = Administrator
user-admin-hint = May do everything, for every team.
user-password = Password
user-no-teams = In no team.
user-reset = Set a new password
user-reset-note = Their sessions end. Hand the password over in person; they can change it in their account.

## Administration: audit and findings

audit-intro = Every change, newest first.
audit-newest = Newest
audit-older = Older
findings-none = Nothing to look at.
findings-intro = What the platform noticed about its store. The technical messages are in English.
finding-memory-volatile = Everything is kept in memory only and is lost when the portal ends.
finding-ledger-conflict = The store refused a change that kept every rule. This is a bug of ours: please report it.
finding-ledger-reloaded = The store's history was set back or replaced, and everything was loaded anew. Check what was done since.
finding-ledger-too-long = Somebody asked for more than the store takes at once; nothing was changed. The message says which setting allows more.
finding-network-file-system = The database is on a network file system, where its locks cannot be relied on.
finding-volatile-file-system = The database is on a file system that a restart empties.
finding-sqlite-setting = The database did not accept a setting that it needs to keep what it acknowledges.
finding-other = Something that operators should know.
finding-grave = Grave

## What the history says

actor-system = the platform
actor-observer = observation ({ $name })
target-fleet = fleet
target-cache = cache { $name }
target-host = host { $name }
target-cluster = cluster { $name }
target-team = team { $name }
target-quota = quota of team { $team } in cluster { $cluster }
action-fleet-start-epoch = New epoch after a restore
action-fleet-found = Fleet founded
action-cluster-create = Cluster created
action-cluster-change = Cluster changed
action-cluster-remove = Cluster removed
action-host-add = Host added
action-host-change = Host changed
action-host-cordon = Host cordoned
action-host-uncordon = Host back in service
action-host-remove = Host removed
action-host-lose = Host stated lost
action-host-served = Host told to stop instances
action-team-create = Team created
action-team-remove = Team removed
action-quota-set = Quota set
action-cache-allocate = Cache created
action-cache-resize = Cache resized
action-cache-release = Cache released
action-cache-replace = Missing instances replaced
action-instance-running = Instance seen running
action-instance-stopped = Instance seen stopped
action-instance-stated-stopped = Instance stated stopped
detail-resized = to { $memory } each
detail-replaced =
    { $n ->
        [one] one instance
       *[other] { $n } instances
    }
detail-seen = { $name } with { $memory }
detail-stated = { $name }: { $reason }
detail-lost =
    { $n ->
        [one] one instance: { $reason }
       *[other] { $n } instances: { $reason }
    }
detail-ports = ports { $first } to { $last }
detail-host = { $memory }, { $address }
detail-served = with pillar revision { $revision }

## Why not

submit-unavailable = The store is away. Nothing was changed; try again in a moment.
submit-unsafe = Nothing was changed. Changes are stopped until an administrator has made the store safe again. Running caches are not affected.
submit-outcome-unknown = The store broke off before it answered, so it is not known yet whether this was carried out. Send the form again: it is carried out at most once.
submit-busy = Too many requests are waiting. Nothing was changed; try again in a moment.
submit-too-long = This is more than the store takes at once. Nothing was changed; ask for less at a time, or tell an administrator, whom the findings tell which setting allows more.
submit-internal = This could not be decided because of a bug of ours. Nothing was changed; please tell an operator.
refusal-no-cluster = There is no cluster { $name }.
refusal-no-host = There is no host { $name }.
refusal-no-team = There is no team { $name }.
refusal-no-cache = There is no cache { $name }.
refusal-no-instance = There is no instance { $name }.
refusal-name-taken = { $name } exists already. Take another name.
refusal-name-releasing = { $name } is being released. Take another name, or wait until it is gone.
refusal-address-taken = Host { $host } has the address { $address } already. Two hosts at one address would give two teams the same endpoint.
refusal-address-cools-down =
    { $n ->
        [one] One port at { $address }, of host { $host }, must not be given to anybody yet: clients of another team may still use it. Wait until it has cooled down, or use another address.
       *[other] { $n } ports at { $address }, of host { $host }, must not be given to anybody yet: clients of another team may still use them. Wait until they have cooled down, or use another address.
    }
refusal-cluster-in-use = Cluster { $name } still has hosts or caches. Release the caches and remove the hosts first.
refusal-team-in-use = Team { $name } still has caches. Release them first, and wait until their instances have stopped.
refusal-host-in-use = Host { $name } still has instances. Have them released first, and wait until they have stopped.
refusal-no-room = Cluster { $cluster } has no room for { $instances } × { $memory }.
refusal-no-quota = Team { $team } has no memory in cluster { $cluster }. Ask an administrator for a quota.
refusal-try-again = { $refusal } This has changed meanwhile: try again.
refusal-nothing-fits = No smaller size fits either.
refusal-quota = Team { $team } may use { $limit } in cluster { $cluster } and uses { $used }; { $asked } more is too much.
refusal-out-of-range = { $value } is outside the allowed range.
refusal-releasing = { $name } is being released and cannot be changed any more.
refusal-not-releasing = { $name } is not being released. Release its cache first.
refusal-request-id-reused = This form was already sent with other values, and those were carried out. Look at how things are now before you send it again.
refusal-outdated = It has changed meanwhile. Reload the page.
refusal-other = This is not possible. Nothing was changed.
why-not-several = More than one thing is in the way.
why-not-memory = The hosts do not have enough free memory.
why-not-headroom = What the hosts have free is kept so that the caches there can grow, and with this the cluster as a whole would have too little left to open it.
why-not-fill-limit = The cluster may not be filled any further: the rest is kept for when a host fails.
why-not-ports = Hosts with enough memory have no free port.
why-not-cool-down = A port that was used before can be given out again, and there is room, from:
why-not-spread = Each instance needs a host of its own, and too few hosts have room. Fewer instances may fit.
why-not-racks = Too many of the instances would be on one rack.
why-not-quota = A larger quota would be enough. An administrator can set it.
why-not-unobserved = The platform was set back to a backup, and some hosts still have to be looked at. That usually takes a minute: try again.
offer-largest = Use { $size } instead
offer-smaller = Make the instances smaller first: { $size } would fit
offer-cluster = Use cluster { $name } instead
offers-for-operators = What operators can do, each of it enough:
offer-uncordon = Let host { $name } take new instances again
offer-uncordon-more =
    { $n ->
        [one] One more host would do.
       *[other] { $n } more hosts would do.
    }
offer-hosts =
    { $n ->
        [one] Add a host with { $memory }, on a rack that has none of the cache
       *[other] Add { $n } hosts with { $memory } each, on racks that have none of the cache
    }
