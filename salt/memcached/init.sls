{#- The memcached instances of this host, from the pillar that saltapi fetches. See the README beside this directory.
    Nothing of the pillar is rendered here: the modules check it and write integers and addresses only. -#}
{%- if 'memc.apply' not in salt %}
memc_modules:
  saltutil.sync_all:
    - refresh: True
    - reload_modules: True
    - require_in:
      - memc: memc_pillar
{%- endif %}

memc_pillar:
  memc.trusted: []

memc_account:
  memc.account:
    - name: memc
    - uid: 1501
    - gid: 1501
    - require:
      - memc: memc_pillar

memc_package:
  memc.package:
    - name: memcached
    - require:
      - memc: memc_pillar
{%- if grains['os_family'] == 'Debian' %}

memc_needrestart:
  file.managed:
    - name: /etc/needrestart/conf.d/memc.conf
    - source: salt://memcached/needrestart.conf
    - mode: '0644'
    - makedirs: True
    - require:
      - memc: memc_pillar
    - require_in:
      - memc: memc_instances
{%- endif %}

memc_instances:
  memc.instances:
    - require:
      - memc: memc_account
      - memc: memc_package
