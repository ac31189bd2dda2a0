"""How a stranger breaks each sample: one edit of its text a time.

An edit replaces the first `old` of the sample with `new`. The message must name the first line that differs, or the
line that begins with `line` where the slip shows elsewhere.
"""

from __future__ import annotations

from typing import NamedTuple


class Edit(NamedTuple):
    """One slip."""

    name: str
    old: str
    new: str
    line: str = ""


def edits(*rows: tuple[str, ...]) -> tuple[Edit, ...]:
    """The rows of a table as edits."""
    return tuple(Edit(*row) for row in rows)


API = edits(
    ("misspelt section", "monitoring:", "monitorng:"),
    ("misspelt key", "podman_memory:", "podman_memry:"),
    ("key in another case", "podman_cpus:", "podmanCpus:"),
    ("size without unit", 'podman_memory: "4Gi"', 'podman_memory: "4"'),
    ("size as a number", 'podman_memory: "4Gi"', "podman_memory: 4"),
    ("size in words", 'podman_memory: "4Gi"', 'podman_memory: "4 gigabytes"'),
    ("cpus as a number", 'podman_cpus: "2"', "podman_cpus: 2"),
    ("cpus in Kubernetes' unit", 'podman_cpus: "2"', 'podman_cpus: "1500m"'),
    ("duration without unit", 'interval: "30s"', 'interval: "30"'),
    ("duration as a number", 'interval: "30s"', "interval: 30"),
    ("duration in words", 'interval: "30s"', 'interval: "30 seconds"'),
    ("port in quotes", "port: 9101", 'port: "9101"'),
    ("port out of range", "port: 9101", "port: 91011"),
    ("misspelt key beside the right one", "port: 9101", "port: 9101\n    prot: 1", "    prot"),
    ("tab as indentation", '    path: "/metrics"', '\tpath: "/metrics"'),
    ("unclosed quote", 'level: "info"', 'level: "info'),
    ("missing opening quote", 'level: "info"', 'level: info"'),
    ("curly quotes", 'path: "/metrics"', "path: \u201c/metrics\u201d"),
    ("no space after the colon", '  level: "info"', '  level:"info"'),
    ("equals sign", '  level: "info"', '  level = "info"'),
    ("no colon", '  level: "info"', '  level "info"'),
    ("synonym", 'level: "info"', 'level: "verbose"'),
    ("upper case", 'level: "info"', 'level: "INFO"'),
    ("other name of a database", 'type: "sqlite"', 'type: "postgresql"'),
    ("indented too far", '  type: "sqlite"', '     type: "sqlite"'),
    ("key one level up", '  level: "info"', 'level: "info"'),
    (
        "key one level down",
        '    path: "/metrics"',
        '    path: "/metrics"\n    interval: "30s"',
        "    interval",
    ),
    ("section one level up", "  prometheus:", "prometheus:"),
    ("duplicate key", "  db: 0", "  db: 0\n  db: 1", "  db: 1"),
    ("duplicate section", "database:", "logging: {}\ndatabase:", "logging:\n"),
    ("list instead of a text", "base_path:", "base_path: [a]\nold_path:"),
    ("unset variable", 'path: "/metrics"', 'path: "${METRICS_PATH}"'),
    ("Windows path", 'path: "/metrics"', 'path: "C:\\data\\logs"'),
    ("key of the worker file", "data_dir:", "worker_id: box1\ndata_dir:"),
    ("key of the profile", "server:\n", "server:\n  worker_host: box1\n"),
    ("negative number", "max_workers: ", "max_workers: -"),
    ("number with a unit", "requests_per_minute: 60", "requests_per_minute: 60/min"),
    ("yes instead of true", "production_mode: ", "production_mode: yes #"),
    ("bad address", 'address: "', 'address: "http://'),
)

EDITS: dict[str, tuple[Edit, ...]] = {
    "api/dev.yaml": (
        *API,
        *edits(
            ("bad whitelist", "ip_whitelist: []", 'ip_whitelist: ["192.168.0.0/33"]'),
            ("whitelist as a text", "ip_whitelist: []", 'ip_whitelist: "10.0.0.0/8"'),
            ("unclosed bracket", "ip_whitelist: []", "ip_whitelist: ["),
            ("origin without scheme", '- "http://localhost:3000"', '- "localhost:3000"'),
            ("no space after the dash", '- "http://localhost:3000"', '-"http://localhost:3000"'),
            ("missing dash", '- "http://localhost:3000"', '"http://localhost:3000"'),
            (
                "audit paths disagree",
                'audit_log: "./data/dev/logs/fetchml-audit.log"',
                'audit_log: "./audit.log"',
            ),
            ("section without keys", "auth:\n  enabled: false", "auth:", "auth:"),
            ("switch as a section", "auth:\n  enabled: false", "auth: false"),
            ("misspelt switch", "auth:\n  enabled: false", "auth:\n  enabled: flase"),
        ),
    ),
    "api/multi-user.yaml": (
        *API,
        *edits(
            ("short hash", "CHANGE_ME_SHA256_ADMIN_USER_KEY", "5e884898da28047151d0e56f8dc62927"),
            ("key instead of a hash", '"CHANGE_ME_SHA256_ADMIN_USER_KEY"', "hunter2-is-my-key"),
            ("unclosed quote of a secret", '"CHANGE_ME_SHA256_RESEARCHER1_KEY"', '"s3cret-key'),
            ("switch in quotes", "admin: false", 'admin: "false"'),
            ("unknown role", '["user", "researcher"]', '["user", "reseacher"]'),
            ("missing comma", '["user", "researcher"]', '["user" "researcher"]'),
            ("missing bracket", '["user", "researcher"]', '["user", "researcher"'),
            ("roles as a text", '["user", "researcher"]', "user, researcher"),
            ("permission as a word", '"jobs:update": true', '"jobs:update": allow'),
            ("unknown permission", '"jobs:update": true', '"jobs:udpate": true'),
            ("permissions as a list", '        "*": true', '        - "*"'),
            ("star without quotes", '        "*": true', "        *: true"),
            ("star for a user", "admin: true", "admin: false", '        "*"'),
            ("user too deep", "    researcher1:", "      researcher1:"),
            ("user one level up", "    analyst1:", "  analyst1:"),
            ("user twice", "    analyst1:", "    researcher1:"),
            ("misspelt hash", 'hash: "CHANGE_ME_SHA256_ANALYST1_KEY"', 'hsh: "s3cret"'),
        ),
    ),
    "api/prod.yaml": (
        *API,
        *edits(
            ("missing certificate", "/app/ssl/cert.pem", "/app/ssl/missing.pem"),
            ("no certificate", '    cert_file: "/app/ssl/cert.pem"\n', "", "    enabled: true"),
            ("tls at the top", "  tls:\n    enabled: true", "tls:\n  enabled: true", "    cert_file"),
            ("tls.enabled written flat", "  tls:\n    enabled: true", "  tls.enabled: true\n  tls:"),
            ("password with a hash sign", 'password: ""', 'password: "s3cret'),
            ("password as a number", 'password: ""', "password: 12345"),
            ("misspelt password", 'password: ""', 'pasword: "s3cret"'),
            ("address with a space", '"redis:6379"', '"redis 6379"'),
            ("role instead of a list", "      roles:\n        - admin", "      roles: admin"),
            ("dash of a list forgotten", "        - admin", "        admin"),
            (
                "brace not closed",
                "  rate_limit:\n    enabled: true",
                "  rate_limit: {enabled: true",
                "  rate_limit",
            ),
            ("hash without a key", '      hash: "replace-with-sha256-of-your-api-key"\n', "", "    admin:"),
        ),
    ),
    "api/homelab-secure.yaml": (
        *API,
        *edits(
            ("bad network", '"192.168.0.0/16"', '"192.168.0.0/36"'),
            ("network with host bits", '"192.168.0.0/16"', '"192.168.1.5/16"'),
            ("name in the whitelist", '"192.168.0.0/16"', '"homelab.local"'),
            ("two items in one", '"192.168.0.0/16"', '"192.168.0.0/16, 10.0.0.0/8"'),
            (
                "no whitelist in production",
                '  ip_whitelist:\n    - "127.0.0.1"\n    - "192.168.0.0/16"\n',
                "",
                "  address",
            ),
            ("auth off in production", "auth:\n  enabled: true", "auth:\n  enabled: false", ""),
            (
                "origin with a path",
                "https://ml-experiments.example.com",
                "https://ml-experiments.example.com/app",
            ),
            ("redis url and addr", "  db: 0", '  db: 0\n  addr: "other:6379"', "  addr"),
            ("redis url of another scheme", '"redis://:CHANGE_ME_REDIS_PASSWORD', '"http://:hunter2'),
            ("database number in both", "  db: 0", "  db: one"),
            ("item too shallow", '    - "192.168.0.0/16"', '   - "192.168.0.0/16"'),
            ("key among items", '    - "192.168.0.0/16"', '    networks: "192.168.0.0/16"'),
            ("alias", '    - "127.0.0.1"', "    - *local"),
        ),
    ),
}

WORKER = edits(
    ("misspelt key", "worker_id:", "worker_ID_:"),
    ("hyphen instead of underscore", "train_script:", "train-script:"),
    ("key of the api file", "train_script:", "auth:\n  enabled: true\ntrain_script:"),
    ("number in quotes", "max_workers: ", 'max_workers: "2" # '),
    ("zero", "max_workers: ", "max_workers: 0 # "),
    ("seconds with a unit", "poll_interval_seconds: ", "poll_interval_seconds: 2s # "),
    ("half a second", "poll_interval_seconds: ", "poll_interval_seconds: 0.5 # "),
    ("yes instead of true", "local_mode: true", "local_mode: yes"),
    ("true in quotes", "local_mode: true", 'local_mode: "true"'),
    ("jobs on another host", "local_mode: true", "local_mode: false\nhost: gpu7", "host:"),
    ("unclosed quote", 'train_script: "train.py"', 'train_script: "train.py'),
    ("curly quotes", 'train_script: "train.py"', "train_script: \u201ctrain.py\u201d"),
    ("no space after the colon", 'train_script: "train.py"', 'train_script:"train.py"'),
    ("equals sign", 'train_script: "train.py"', 'train_script = "train.py"'),
    ("Windows path", 'container_results: "/results"', 'container_results: "C:\\results"'),
    ("number as a path", 'container_results: "/results"', "container_results: 5"),
    ("duplicate key", "container_results:", "container_workspace:"),
    ("indented key", 'container_results: "/results"', '  container_results: "/results"'),
    ("devices as a text", "gpu_devices: []", "gpu_devices: /dev/nvidia0"),
    ("unclosed bracket", "gpu_devices: []", "gpu_devices: ["),
    ("another launcher", "local_mode: true", "local_mode: true\nlauncher: docker", "launcher"),
    (
        "network by Docker's name",
        "local_mode: true",
        "local_mode: true\nsandbox:\n  network: bridge",
        "  network",
    ),
    ("sandbox key at the top", "local_mode: true", "local_mode: true\nseccomp_profile: a.json", "seccomp"),
    ("tab as indentation", "metrics:\n  enabled", "metrics:\n\tenabled"),
    ("unset variable", 'train_script: "train.py"', 'train_script: "${SCRIPT}"'),
    ("reference without a name", 'train_script: "train.py"', 'train_script: "${}"'),
)
_LEASE = edits(
    ("lease too short", 'task_lease_duration: "30m"', 'task_lease_duration: "90s"'),
    ("heartbeat as a number", 'heartbeat_interval: "1m"', "heartbeat_interval: 60"),
    ("duration in words", 'graceful_timeout: "5m"', 'graceful_timeout: "5 minutes"'),
    ("negative retries", "max_retries: 3\ng", "max_retries: -1\ng"),
    ("max_workers disagree", "resources:\n  max_workers: ", "resources:\n  max_workers: 7 # ", "max_workers"),
    ("resource at the top", "resources:\n", "podman_memory: 8g\nresources:\n"),
    ("cpus with a unit", 'podman_cpus: "2"', 'podman_cpus: "2 cores"'),
    ("cpus beyond the machine", 'podman_cpus: "2"', 'podman_cpus: "64"'),
)
EDITS |= {
    "workers/dev-local.yaml": (
        *WORKER,
        *_LEASE,
        *edits(
            ("metrics as a switch", "metrics:\n  enabled: ", "metrics: true\n# "),
            ("vendor by its software", 'gpu_vendor: "apple"', 'gpu_vendor: "metal"'),
            ("misspelt vendor", 'gpu_vendor: "apple"', 'gpu_vendor: "aple"'),
            ("queue of another kind", 'type: "native"', 'type: "rabbitmq"'),
            (
                "queue as a text",
                'queue:\n  type: "native"\n  native:\n    data_dir: "data/dev/queue"',
                'queue: "native"',
            ),
            ("queue folder one level up", "  native:\n    data_dir", "  data_dir"),
            ("redis addr beside the url", "redis_url:", 'redis_addr: "other:6379"\nredis_url:'),
            ("database number that is none", "redis://localhost:6379/0", "redis://localhost:6379/zero"),
        ),
    ),
    "workers/docker.yaml": (
        *WORKER,
        *edits(
            ("metrics as a switch", "metrics:\n  enabled: ", "metrics: true\n# ", "  listen_addr"),
            ("port that is none", 'redis_addr: "redis:6379"', 'redis_addr: "redis:port"'),
            ("password without quotes", 'redis_password: ""', "redis_password: @hunter2"),
            ("unclosed password", 'redis_password: ""', 'redis_password: "hunter2'),
            ("misspelt password", "redis_password:", "redis_pasword: hunter2 #"),
            ("negative database", "redis_db: 0", "redis_db: -1"),
            ("address without a port", 'listen_addr: ":9100"', 'listen_addr: "0.0.0.0"'),
            ("milliseconds without a unit", '"500ms"', '"500"'),
            ("flush interval below metrics", "metrics_flush_interval:", "  metrics_flush_interval:"),
        ),
    ),
    "workers/homelab-secure.yaml": (
        *WORKER,
        *_LEASE,
        *edits(
            ("password's variable is not set", "${REDIS_PASSWORD}", "${REDIS_PASWORD}"),
            ("reference not closed", "${REDIS_PASSWORD}", "${REDIS_PASSWORD"),
            (
                "password written out",
                '"redis://:${REDIS_PASSWORD}@redis:6379/0"',
                '"redis://:hunter2@redis:6379/0',
            ),
            ("endpoint with a scheme", 'endpoint: "minio:9000"', 'endpoint: "http://minio:9000"'),
            ("key of S3 at the top", '  bucket: "fetchml-snapshots"', 'bucket: "fetchml-snapshots"', ""),
            ("ttl in days", 'dataset_cache_ttl: "30m"', 'dataset_cache_ttl: "2 weeks"'),
            ("timeout without unit", '  timeout: "5m"', "  timeout: 300"),
            ("secure as a number", "secure: false", "secure: 0"),
        ),
    ),
    "workers/worker-prod.toml": edits(
        ("misspelt key", "worker_id =", "worker_ids ="),
        ("no quotes", '"/data/ml-experiments"', "/data/ml-experiments"),
        ("unclosed quote", '"/data/ml-experiments"', '"/data/ml-experiments'),
        ("curly quotes", '"worker-prod-01"', "\u201cworker-prod-01\u201d"),
        ("colon", 'gpu_vendor = "none"', 'gpu_vendor: "none"'),
        ("unknown vendor", 'gpu_vendor = "none"', 'gpu_vendor = "cuda"'),
        ("number in quotes", "max_workers = 4\n\nredis", 'max_workers = "4"\n\nredis'),
        ("max_workers disagree", "max_workers = 4\n\nredis", "max_workers = 2\n\nredis"),
        ("zero", "max_workers = 4\ndesired", "max_workers = 0\ndesired", "max_workers = 0"),
        ("duplicate key", "redis_db = 0", 'redis_db = 0\nredis_addr = "a:1"', 'redis_addr = "a'),
        ("duplicate table", "[metrics]", "[resources]"),
        ("misspelt table", "[metrics]", "[metric]"),
        ("table not closed", "[metrics]", "[metrics"),
        ("table as in YAML", "[metrics]", "metrics:"),
        ("port out of range", "port = 22", "port = 220000"),
        ("leading zero", "port = 22", "port = 022"),
        ("list not closed", "gpu_devices = []", "gpu_devices = ["),
        ("devices as a text", "gpu_devices = []", 'gpu_devices = "/dev/nvidia0"'),
        ("size without unit", 'podman_memory = "16g"', 'podman_memory = "16"'),
        ("size as a number", 'podman_memory = "16g"', "podman_memory = 16"),
        ("cpus as a number", 'podman_cpus = "4"', "podman_cpus = 4"),
        ("True", "enabled = true", "enabled = True"),
        ("yes in quotes", "enabled = true", 'enabled = "yes"'),
        ("Windows path", '"~/.ssh/id_rsa"', '"C:\\ssh\\id_rsa"'),
        ("unclosed password", '"CHANGE_ME_REDIS_PASSWORD"', '"hunter2'),
        ("password without quotes", '"CHANGE_ME_REDIS_PASSWORD"', "hunter2"),
        ("nothing behind the key", 'user = "ml-user"', "user ="),
        ("no equals sign", 'user = "ml-user"', 'user "ml-user"'),
        (
            "top key below a table",
            'listen_addr = ":9100"',
            'listen_addr = ":9100"\ngraceful_timeout = "5m"',
            "graceful",
        ),
        ("unset variable", '"train.py"', '"${SCRIPT}"'),
        ("key of the api file", "[metrics]", "[security]\nproduction_mode = true\n[metrics]"),
    ),
}

PROFILE = edits(
    ("misspelt table", "[server]", "[sever]"),
    ("table not closed", "[server]", "[server"),
    ("table as in YAML", "[auth]", "auth:"),
    ("duplicate table", "[auth]", "[server]"),
    ("misspelt key", "worker_host", "worker_hots"),
    ("key of ssh", "worker_host", "hostname"),
    ("no quotes", '"localhost"', "localhost"),
    ("unclosed quote", '"localhost"', '"localhost'),
    ("curly quotes", '"localhost"', "\u201clocalhost\u201d"),
    ("colon", 'worker_user = "appuser"', 'worker_user: "appuser"'),
    ("no equals sign", 'worker_user = "appuser"', 'worker_user "appuser"'),
    ("number as a text", "worker_port = 22", 'worker_port = "22"'),
    ("port out of range", "worker_port = 22", "worker_port = 70000"),
    ("port zero", "worker_port = 22", "worker_port = 0"),
    ("port with a leading zero", "worker_port = 22", "worker_port = 022"),
    ("text as a number", 'worker_base = "/app"', "worker_base = 5"),
    ("list instead of a text", 'worker_base = "/app"', 'worker_base = ["/app"]'),
    ("Windows path", 'worker_base = "/app"', 'worker_base = "C:\\app"'),
    ("duplicate key", "worker_base", "worker_user"),
    ("nothing behind the key", 'worker_base = "/app"', "worker_base ="),
    ("unset variable", 'worker_base = "/app"', 'worker_base = "${ML_BASE}"'),
    ("key in the wrong table", "[auth]", '[auth]\nworker_host = "box1"', "worker_host"),
    ("key above all tables", "[server]", 'api_key = "s3cret"\n[server]'),
    ("key of the worker file", "worker_base", "max_workers = 2\nworker_base"),
    ("misspelt secret", "api_key", "apikey"),
)


def _profile(placeholder: str) -> tuple[Edit, ...]:
    """The edits of one profile, those of its key too."""
    own = edits(
        ("key without quotes", f'"{placeholder}"', "s3cret"),
        ("key not closed", f'"{placeholder}"', '"s3cret'),
        ("key as a number", f'"{placeholder}"', "12345"),
        ("key's variable is not set", placeholder, "${ML_API_KEY}"),
    )
    return (*PROFILE, *own)


EDITS |= {
    "cli/config.toml": (
        *_profile("<your-api-key>"),
        *edits(
            ("timeout with a unit", "default_timeout = 30", 'default_timeout = "30s"'),
            ("timeout zero", "default_timeout = 30", "default_timeout = 0"),
            ("False", "verbose = false", "verbose = False"),
            ("no", "verbose = false", 'verbose = "no"'),
            ("switch at the server", "[cli]\n", "", "default_timeout"),
        ),
    ),
    "cli/config-admin.toml": (
        *_profile("<admin-api-key>"),
        *edits(("role of the api file", "[auth]", "[auth]\nadmin = true")),
    ),
    "cli/config-researcher.toml": (
        *_profile("<researcher-api-key>"),
        *edits(("section as a text", "[auth]", 'cli = "verbose"\n[auth]')),
    ),
    "cli/config-analyst.toml": (
        *_profile("<analyst-api-key>"),
        *edits(("dotted key", "[auth]", "cli.verbos = true\n[auth]")),
    ),
}
