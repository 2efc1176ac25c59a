# 页面上的全部文字（简体中文）。键与 en.ftl 相同，顺序也相同。

## 页面框架

app-name = Memcached
skip = 跳到正文
nav-main = 主导航
nav-caches = 我的缓存
nav-admin = 管理
nav-account = 我的账户
nav-logout = 退出登录
nav-clusters = 集群
nav-hosts = 主机
nav-teams = 团队
nav-users = 用户
nav-audit = 审计
nav-findings = 待关注
nav-language = 语言
banner-stale = 存储暂时无法访问。当前显示的是 { $when } 的状态，恢复之前无法进行任何变更。
banner-findings = 有 { $n } 项问题需要运维人员关注。
banner-risks = 此存储可能丢失已确认的变更。门户已被设置为接受该风险，否则在修正之前不会写入：

## 通用词语

add = 添加
as-it-is = { $word }
back-to = 返回 { $name }
booked-size = 预留 { $size }
cache = 缓存
caches = 缓存
cancel = 取消
choose = 请选择…
cluster = 集群
copied = 已复制
copy = 复制
create = 创建
endpoint = 访问地址
host = 主机
instance = 实例
instances = 实例
list-and = { $first }；{ $next }
members = 成员
memory = 内存
name = 名称
none = 无
optional = （选填）
port = 端口
ports = 端口
quotas = 配额
rack = 机架
rack-named = 机架 { $rack }
rack-hint = 同一机架的主机可能同时故障；同一缓存的实例会尽量分散到不同机架。
reason = 原因
reason-hint = 将连同您的用户名记入历史，限一行。
remove = 删除
save = 保存
state = 状态
team = 团队
team-name = 团队 { $name }
user = 用户
size-each = { $n } × { $memory }
bar-booked = 已预留 { $booked }，共 { $memory }
quota-in = 集群 { $cluster }
quota-of = 团队 { $team } 在集群 { $cluster } 的配额
quota-used = 已用 { $used }，共 { $limit }
quota-change = { $before } → { $after }，共 { $limit }
ago-seconds = { $n } 秒前
ago-minutes = { $n } 分钟前
ago-hours = { $n } 小时前
ago-days = { $n } 天前

## 操作结果

done-created = 缓存正在创建，通常一分钟内即可使用。
done-resized = 新的内存大小正在下发到主机。
done-unchanged = 缓存已是该大小，没有做任何变更。
done-gone = 缓存已释放完毕。
done-released = 缓存正在释放。
done-replaced = 缺失的实例已重新分配。
done-stopped = 您的确认已记录，该实例视为已停止。
done-saved = 已保存。
done-added = 已添加。
done-removed = 已删除。
done-password = 密码已修改。
done-revoked = 令牌已吊销。

## 错误

error-home = 前往我的缓存
error-not-found = 找不到该页面
error-not-found-todo = 地址有误、内容已不存在，或者它属于您未加入的团队。
error-forbidden = 仅限管理员访问
error-forbidden-todo = 如有需要，请联系管理员。
error-expired = 表单已过期
error-expired-todo = 没有做任何变更。请返回并刷新页面，然后重新提交。
error-malformed = 无法识别该请求
error-malformed-todo = 没有做任何变更。请返回并使用页面上的表单。
error-unavailable = 暂时不可用
error-unavailable-todo = 数据库没有响应。没有做任何变更，请稍后重试。正在运行的缓存不受影响。
error-internal = 服务器内部错误
error-internal-todo = 详情见服务器日志。请重试；若问题依旧，请联系运维人员。

## 表单字段

field-empty = 此项必填。
field-choose = 请从列表中选择一项。
field-range = 请输入 { $least } 到 { $most } 之间的整数。
field-slug = 1 到 40 个小写字母、数字或连字符，首尾不能是连字符。
field-user-name = 1 到 64 个字符：小写字母、数字、点、下划线、连字符，以字母或数字开头。
field-host-name = 可用字母、数字、点、下划线和连字符，以字母或数字开头。
field-address = 请输入 IP 地址，例如 10.0.0.11。
field-rack = 1 到 64 个字符：字母、数字以及 . _ - /，以字母或数字开头。
field-ports = 请输入 1024 到 65535 之间的端口，用空格分隔。
field-reason = 请输入一行文字，最多 500 个字符。

## 登录

login-title = 登录
login-intro = 为您的团队自助申请 memcached，无需等待。
login-name = 用户名
login-password = 密码
login-submit = 登录
login-wrong = 用户名或密码错误。
login-throttled = 尝试次数过多，请在 { $seconds } 秒后重试。

## 我的账户

account-title = 我的账户
account-teams = 所属团队：
account-no-teams = 您还没有加入任何团队，请联系管理员。
account-tokens = API 令牌
account-tokens-intro = 程序可以凭令牌以您的身份调用 /api/v1。请像密码一样妥善保管。
account-token-label = 用途
account-token-label-hint = 便于日后辨认。
account-token-label-rule = 最多 100 个字符，限一行。
account-token-create = 创建令牌
account-token-created = 创建时间
account-token-once = 请立即复制此令牌，它只显示这一次。
account-token-revoke = 吊销
account-token-revoke-this = 吊销 { $label }
account-language = 语言
account-language-browser = 跟随浏览器
account-password = 密码
account-password-old = 当前密码
account-password-new = 新密码
account-password-again = 再次输入新密码
account-password-rule = 至少 8 个字符。
account-password-wrong = 当前密码不正确。
account-passwords-differ = 两次输入的密码不一致。
account-password-change = 修改密码

## 我的缓存

caches-title = 我的缓存
caches-create = 创建缓存
caches-empty = 该团队还没有缓存。现在创建第一个，大约一分钟后即可使用。
caches-no-team = 缓存归团队所有，而您还没有加入任何团队。请联系管理员将您加入团队。
caches-no-team-admin = 缓存归团队所有，而您还没有加入任何团队。请先创建团队、设置配额并添加成员。
caches-no-quota = 该团队还没有可用的内存配额，请联系管理员设置。
cache-name = 名称
cache-size = 内存
glance-running = 运行中
glance-pending = { $running }/{ $all } 运行中
glance-resizing = 正在调整
glance-shrinking = 正在缩容
glance-releasing = 正在释放
glance-missing = 缺少 { $n } 个实例

## 创建缓存

create-title = 创建缓存
create-nothing = 还没有可选的团队或集群，请联系管理员。
create-left = 团队 { $team } 剩余 { $left }
create-no-quota = 您的团队在此没有配额
create-name-hint = 1 到 40 个小写字母、数字或连字符。创建后不能修改。
create-memory = 每个实例的内存（MiB）
create-memory-hint = 最小 8 MiB，运行期间可以调整。
create-instances = 实例数
create-instances-hint = 每个实例位于不同的主机，由您的客户端将键分布到各个实例。
create-more = 更多选项
create-max-per-rack = 同一机架上最多几个实例
create-max-per-rack-hint = 至少为 1。留空表示不限；实例总会尽量分散到不同机架。
create-preview = 预览
preview-title = 分配预览
preview-intro = 此时尚未创建任何内容。
preview-asked = 申请的内存
preview-asked-sum = { $each } = { $total }
preview-asked-hint = 计入配额。
preview-booked = 主机上预留的内存
preview-set-aside = 预留
preview-booked-hint = 包含 memcached 自身的额外开销，不计入配额。
preview-where = 运行位置
preview-may-change = 主机和端口在确认时最终确定；若有其他人同时申请，结果可能不同。
preview-confirm = 确认创建
preview-back = 返回修改

## 缓存详情

cache-facts = { $size } · 集群 { $cluster } · 团队 { $team }
max-per-rack = 同一机架最多 { $n } 个
cache-missing = 由于主机失联，缺少 { $n } 个实例。
cache-endpoints = 访问地址
cache-endpoints-hint = 将以下地址配置到您的 memcached 客户端：
cache-telnet-hint = 手动测试：
cache-no-endpoints = 已没有可用的实例。补齐缺失的实例后即可重新获得访问地址。
cache-releasing-note = 在最后一个实例停止之前，内存仍计入配额，名称也仍被占用。
state-pending = 正在启动
state-resizing = 正在调整
state-silent = 无响应
state-running = 运行中
state-shrinking = 正在缩容
state-releasing = 正在停止
why-host-lost = 该主机已被标记为失联。
why-not-fetched = 等待主机 { $host }：此次变更后它尚未来查询要运行的内容（上次查询：{ $ago }）。主机大约每分钟查询一次。
why-never-fetched = 等待主机 { $host } 来查询要运行的内容。主机大约每分钟查询一次；若长时间没有变化，请联系运维。
why-silent = 上次检测时端口 { $port } 没有响应。主机正常时会自动重新启动它；如果一直如此，请联系运维。
why-not-seen = 主机已收到变更，等待端口 { $port } 上的 memcached 响应。
why-unclear = 主机已收到变更，但端口 { $port } 没有给出明确响应：可能是网络不通，或端口被其他程序占用。
why-other-size = 主机已收到变更。上次检测到 { $seen }，等待变为 { $memory }。
why-memory-not-back = 在确认 memcached 已将内存降至 { $memory } 之前，仍预留 { $booked }。
why-port-answers = 主机已收到变更，等待端口 { $port } 停止响应。
why-stop-unclear = 主机已收到变更。端口 { $port } 没有明确响应，不足以证明它已停止；若持续如此，需要运维人员确认。
why-never-seen = 从未检测到该实例运行，因此端口关闭并不能证明它已停止，需要运维人员确认。
why-ask-operator = 请联系运维人员确认它已停止。
history = 历史记录
history-when = 时间
history-who = 操作者
history-what = 操作
history-away = 存储暂时无法访问，无法读取历史记录。

## 变更缓存

resize-link = 调整内存
resize-title = 调整 { $name } 的内存
resize-now = 当前：{ $size }。
resize-range = 8 MiB 到 { $most }。
resize-grow-note = 扩容会保留全部数据，无需重启。
resize-shrink-note = 新的上限立即生效。如果缓存占用超过新上限，现有数据会暂时保留；在检测到内存归还之前，主机上仍为其预留原来的内存。
resize-no-growth = 目前完全无法扩容。
resize-submit = 调整
release-link = 释放
release-title = 释放 { $name }
release-what = 此操作将停止该缓存（{ $size }，集群 { $cluster }），其中的数据将全部丢失，且无法撤销。
release-then = 其访问地址在一段时间内不会分配给他人，以免仍在使用旧地址的客户端读到其他团队的数据。
release-confirm = 请输入 { $name } 以确认
release-confirm-wrong = 请准确输入 { $name }。
release-submit = 释放缓存
replace-title = 补齐 { $name } 缺失的实例
replace-note = 新实例将在其他主机上启动，初始为空，并使用新的访问地址。其余实例不受影响。
replace-nothing = 没有缺失的实例。
replace-submit = 补齐缺失的实例
stopped-link = 确认已停止
stopped-title = 确认实例已停止
stopped-what = 实例 { $name }.{ $index }，位于主机 { $host }，地址 { $address }，端口 { $port }。
stopped-risk = 请仅在确定该处不再运行 memcached 时执行。其内存将立即可供他人使用，端口则在冷却期后重新分配。
stopped-submit = 确认已停止

## 管理：集群

cluster-title = 集群 { $name }
cluster-new = 新建集群
clusters-empty = 还没有集群。请新建集群、添加主机，然后为团队设置配额。
cluster-first-port = 起始端口
cluster-last-port = 结束端口
cluster-ports-reversed = 结束端口不能小于起始端口。
cluster-rules = 规则
cluster-rules-hint = 仅对之后的申请生效，已有的预留保持不变。
policy-max-instance = 单个实例的内存上限（MiB）
policy-max-instance-hint = { $least } 到 { $most }。
policy-max-instances = 单个缓存的实例数上限
policy-max-instances-hint = { $least } 到 { $most }。
policy-order = 新实例放在哪里
policy-order-pack = 放在仍有空间的最满主机：为大请求保留大块空间
policy-order-balance = 放在最空的主机：负载均匀
policy-order-missing = 请选择新实例放在哪里。
policy-fill-limit = 最多预订的内存（占集群百分比）
policy-fill-limit-hint = { $least } 到 { $most }。低于 100 时，余下的内存可以接收丢失主机上的实例。
policy-headroom = 为扩容保留的内存（占主机百分比）
policy-headroom-hint = { $least } 到 { $most }。只有在没有其他位置、且整个集群的空闲内存仍不低于该比例的 1.5 倍时，新实例才会使用这部分内存，以便现有实例原地扩容。
policy-cool-down = 端口冷却期（小时）
policy-cool-down-hint = { $least } 到 { $most }。实例停止后，其端口在此期间不再分配。
policy-connections = 单个实例的连接数上限
policy-connections-hint = { $least } 到 { $most }，即 memcached 的 -c 参数。
overhead-title = 额外开销
overhead-hint = 除实例内存之外，主机为其预留的部分：按比例加固定值，不低于下限，再加上连接所需。
overhead-percent = 占实例内存的比例（%）
overhead-percent-hint = { $least } 到 { $most }。
overhead-base = 固定值（MiB）
overhead-base-hint = { $least } 到 { $most }，加在比例部分之上。
overhead-floor = 下限（MiB）
overhead-floor-hint = { $least } 到 { $most }，比例与固定值之和不低于此值。
overhead-connections = 活跃连接数
overhead-connections-hint = { $least } 到 { $most }，即预计同时活跃的连接数。
overhead-connection = 每个连接的内存（KiB）
overhead-connection-hint = { $least } 到 { $most }。
cluster-remove-title = 删除集群 { $name }
cluster-remove-explained = 只能删除没有主机和缓存的集群，其配额将一并删除。

## 管理：主机

host-new = 添加主机
hosts-no-cluster = 主机必须属于某个集群，目前还没有集群。
hosts-empty = 该集群还没有主机。
host-active = 正常
host-cordoned = 暂停分配
host-draining = 正在腾空
host-lost = 失联
host-waits = 等待检查
host-waits-look = 尚未检查其端口。
host-waits-answer = 端口 { $port } 既未接受也未拒绝连接。
host-waits-running = 端口 { $port } 上的实例尚未运行。
host-waits-note = 数据已恢复到某个备份。在检查完端口之前，该主机不接收新实例，已有实例也不能扩容。
host-found-at = 未知占用：{ $ports }
host-found = 发现被占用的端口
host-found-hint = 这些端口不会被分配。确认端口上不再有未知程序后，将其从列表中删除。
host-found-note = 数据恢复到备份之后，在端口 { $ports } 上发现未知程序，可能是备份之后创建的实例。请在主机上停止它，然后从下方列表中删除该端口。
host-observed-link = 声明可以使用…
host-observed-title = 不经检查使用主机 { $name }
host-observed-what = 数据已恢复到某个备份，该主机上可能运行着系统不知道的程序，其端口可能被分配给其他团队。请先禁用已知被占用的端口。
host-observed-submit = 确认可以使用
hosts-wait = 有 { $n } 台主机在检查完端口之前不接收新实例，因为数据已恢复到某个备份。
host-fetched = 上次获取 pillar
host-never-fetched = 尚未获取
host-fetched-note = 获取时间由每个门户进程自启动起分别记录。
host-name = 名称
host-name-hint = 必须与该主机的 Salt minion ID 完全一致。
host-address = 地址
host-address-hint = 实例监听、客户端连接的 IP 地址。
host-address-change-hint = 仅当主机上没有实例时才能修改。
host-memory = 可供实例使用的内存（MiB）
host-memory-hint = 该主机上 memcached 可用的内存。可以低于已预留的数量，此时不能再增长。
host-blocked = 禁用端口
host-blocked-hint = 用空格分隔，例如 11211 11300。
host-facts = 集群 { $cluster } · { $address }
host-free = 空闲 { $free }
host-no-instances = 没有实例。
host-ports-retired = 有 { $n } 个端口曾被实例使用，冷却期后最后才会重新分配。
host-ports-blocked = 有 { $n } 个端口曾被实例使用，主机恢复之前保持禁用。
host-change = 修改
host-steps = 上线与下线
host-cordon = 暂停分配
host-cordon-note = 暂停分配后，主机不再接收新实例；已有实例保留，并且可以扩容。
host-uncordon = 恢复分配
host-uncordon-note = 该主机已暂停分配，不再接收新实例；已有实例保留，并且可以扩容。
host-draining-note = 该主机正在腾空：不再接收新实例，已有实例不能扩容。恢复分配即可停止腾空。
host-back = 重新上线
host-back-note = 该主机已被标记为失联。重新上线后，它会先停止原有的实例，其端口在冷却期后恢复可用。
host-lost-link = 标记为失联…
host-lost-title = 主机 { $name } 失联
host-lost-what =
    { $n ->
        [0] 该主机上没有实例。
       *[other] 将放弃该主机上的 { $n } 个实例，所属团队可以在其他主机上补齐。
    }
host-lost-then = 仅在主机短期内无法恢复时使用。如果它恢复，会先停止原有的实例，然后才会接收新的实例。
host-lost-submit = 确认失联
host-remove-link = 删除…
host-remove-title = 删除主机 { $name }
host-remove-explained = 只能删除没有实例的主机。删除后，Salt 将查不到它的 pillar。

## 管理：团队与用户

team-new = 新建团队
teams-empty = 还没有团队。请新建团队，为其设置集群配额并添加成员。
team-no-quotas = 该团队在任何集群都还没有配额。
team-no-members = 该团队还没有成员。
quota-set = 设置配额
quota-memory = 配额（MiB）
quota-memory-hint = 团队可申请的内存总量（内存 × 实例数）。可以低于已用量，此时不能再增长。
member-add = 加入团队
member-remove = 移出
member-remove-this = 将 { $name } 移出团队
team-remove-title = 删除团队 { $name }
team-remove-explained = 只能删除没有缓存的团队。其配额将一并删除，成员的账户保留。
user-new = 新建用户
user-admin = 管理员
user-admin-hint = 可以为所有团队执行任何操作。
user-password = 密码
user-no-teams = 未加入任何团队。
user-reset = 重设密码
user-reset-note = 该用户的所有会话将结束。请当面告知新密码，用户可在账户页自行修改。

## 管理：审计与待关注

audit-intro = 全部变更，最新的在前。
audit-newest = 最新
audit-older = 更早
findings-none = 没有需要关注的问题。
findings-intro = 平台发现的存储相关问题。技术信息为英文。
finding-memory-volatile = 所有数据仅保存在内存中，门户进程结束后将全部丢失。
finding-ledger-conflict = 存储拒绝了一项符合所有规则的变更。这是程序缺陷，请反馈给开发者。
finding-ledger-reloaded = 存储的历史被回退或替换，数据已全部重新加载。请核对此后的操作。
finding-ledger-too-long = 有请求超出存储一次可接受的大小，没有做任何变更。技术信息中说明了可放宽的设置。
finding-network-file-system = 数据库位于网络文件系统上，其文件锁不可靠。
finding-volatile-file-system = 数据库所在的文件系统在重启后会被清空。
finding-sqlite-setting = 数据库未接受确保数据持久所需的设置。
finding-other = 需要运维人员了解的情况。
finding-grave = 严重

## 历史记录的内容

actor-system = 平台
actor-observer = 自动检测（{ $name }）
target-fleet = 整个平台
target-cache = 缓存 { $name }
target-host = 主机 { $name }
target-cluster = 集群 { $name }
target-team = 团队 { $name }
target-quota = 团队 { $team } 在集群 { $cluster } 的配额
action-fleet-start-epoch = 恢复备份后开始新纪元
action-fleet-found = 平台初始化
action-cluster-create = 创建集群
action-cluster-change = 修改集群
action-cluster-remove = 删除集群
action-host-add = 添加主机
action-host-change = 修改主机
action-host-cordon = 暂停分配
action-host-uncordon = 主机恢复分配
action-host-remove = 删除主机
action-host-lose = 主机标记为失联
action-host-served = 已通知主机停止实例
action-team-create = 创建团队
action-team-remove = 删除团队
action-quota-set = 设置配额
action-cache-allocate = 创建缓存
action-cache-resize = 调整内存
action-cache-release = 释放缓存
action-cache-replace = 补齐缺失的实例
action-instance-running = 检测到实例运行
action-instance-stopped = 检测到实例停止
action-instance-stated-stopped = 人工确认实例已停止
detail-resized = 每个实例 { $memory }
detail-replaced = { $n } 个实例
detail-seen = { $name }，{ $memory }
detail-stated = { $name }：{ $reason }
detail-lost = { $n } 个实例：{ $reason }
detail-ports = 端口 { $first } 到 { $last }
detail-host = { $memory }，{ $address }
detail-served = pillar 版本 { $revision }

## 拒绝的原因

submit-unavailable = 存储暂时无法访问。没有做任何变更，请稍后重试。
submit-unsafe = 没有任何更改。在管理员恢复存储的安全设置之前，更改已停止。运行中的缓存不受影响。
submit-outcome-unknown = 存储在响应之前中断，尚不清楚操作是否已执行。请重新提交，操作最多只会执行一次。
submit-busy = 等待处理的请求过多。没有做任何变更，请稍后重试。
submit-too-long = 超出存储一次可接受的大小。没有做任何变更，请减少每次的数量，或告知管理员；相关设置见“发现”。
submit-internal = 由于程序缺陷无法处理该请求。没有做任何变更，请告知运维人员。
refusal-no-cluster = 集群 { $name } 不存在。
refusal-no-host = 主机 { $name } 不存在。
refusal-no-team = 团队 { $name } 不存在。
refusal-no-cache = 缓存 { $name } 不存在。
refusal-no-instance = 实例 { $name } 不存在。
refusal-name-taken = { $name } 已存在，请换一个名称。
refusal-name-releasing = { $name } 正在释放。请换一个名称，或等待释放完成。
refusal-address-taken = 主机 { $host } 已使用地址 { $address }。两台主机共用一个地址会让两个团队得到相同的访问地址。
refusal-address-cools-down = 地址 { $address }（主机 { $host }）上有 { $n } 个端口尚不能分配：其他团队的客户端可能仍在使用。请等待冷却期结束，或使用其他地址。
refusal-cluster-in-use = 集群 { $name } 仍有主机或缓存。请先释放缓存并删除主机。
refusal-team-in-use = 团队 { $name } 仍有缓存。请先释放，并等待其实例停止。
refusal-host-in-use = 主机 { $name } 上仍有实例。请先释放，并等待它们停止。
refusal-no-room = 集群 { $cluster } 放不下 { $instances } × { $memory }。
refusal-no-quota = 团队 { $team } 在集群 { $cluster } 中没有配额，请联系管理员。
refusal-try-again = { $refusal }情况刚刚有变化，请重试。
refusal-nothing-fits = 更小的内存也无法满足。
refusal-quota = 团队 { $team } 在集群 { $cluster } 的配额为 { $limit }，已用 { $used }，再增加 { $asked } 将超出配额。
refusal-out-of-range = { $value } 超出允许的范围。
refusal-releasing = { $name } 正在释放，不能再修改。
refusal-not-releasing = { $name } 未处于释放状态，请先释放其缓存。
refusal-request-id-reused = 该表单曾以其他内容提交并已执行。请先查看当前状态，再决定是否重新提交。
refusal-outdated = 内容已发生变化，请刷新页面。
refusal-other = 无法执行此操作，没有做任何变更。
why-not-several = 同时存在多个原因。
why-not-memory = 主机的空闲内存不足。
why-not-headroom = 主机余下的内存是留给已有缓存扩容的；若满足此请求，整个集群余下的内存太少，不能动用。
why-not-fill-limit = 集群不能再继续占用：余下的内存留作主机故障时使用。
why-not-ports = 内存足够的主机没有空闲端口。
why-not-cool-down = 曾被使用的端口可以重新分配、即可满足的时间：
why-not-spread = 每个实例都需要单独的主机，而有空间的主机太少。减少实例数或许可行。
why-not-racks = 同一机架上的实例会过多。
why-not-quota = 提高配额即可满足，请联系管理员设置。
why-not-unobserved = 平台已恢复到某个备份，部分主机仍需检查，通常一分钟内完成，请稍后重试。
offer-largest = 改用 { $size }
offer-smaller = 先把实例改小：{ $size } 可以放下
offer-cluster = 改用集群 { $name }
offers-for-operators = 运维人员可以采取以下任一措施：
offer-uncordon = 让主机 { $name } 重新接收新实例
offer-uncordon-more = 另有 { $n } 台主机也可以。
offer-hosts = 增加 { $n } 台 { $memory } 的主机，位于没有该缓存实例的机架
