//! What is known of images that many stacks use: their users, where they keep data, whether they have a shell.
//!
//! Most of it is general knowledge that was not checked. Compared with one stored Dockerfile, which may be that of a fork: percona/percona-server 8.0,
//! dpage/pgadmin4, clickhouse/clickhouse-server (on Ubuntu), grafana/loki (user and folder; some versions have a shell), prom/prometheus (the folder
//! alone), prom/alertmanager (user and folder), and timescale/timescaledb (that it is made from postgres on Alpine). Everything else, the images
//! of docker-library among it, was compared with nothing.
//! What an image is called decides: registry, tag and digest do not, but for the variant on Alpine, whose users have other numbers.

/// An image.
#[derive(Debug)]
pub struct Known {
    /// Its names, without registry, `library/` and tag.
    names: &'static [&'static str],
    /// Users by name: user and group.
    users: &'static [(&'static str, i64, i64)],
    /// The same on Alpine, where it differs.
    users_on_alpine: &'static [(&'static str, i64, i64)],
    /// The user and group that its processes end up with when nobody says another; none: root, or one that changes the owner itself.
    pub runs_as: Option<(i64, i64)>,
    /// Folders that it keeps data in: empty in the image, or filled by the program itself.
    pub data: &'static [&'static str],
    /// Whether the program takes only an empty folder for its data (the first of `data`), so that a claim's `lost+found` is in its way.
    wants_sub_path: bool,
    /// A check to suggest, as a line for a shell.
    pub check: Option<&'static str>,
    /// Whether it has `sh`.
    pub has_shell: bool,
    /// Whether it is a data store, which nobody should reach from outside.
    pub is_store: bool,
}

const NOTHING: Known = Known {
    names: &[],
    users: &[],
    users_on_alpine: &[],
    runs_as: None,
    data: &[],
    wants_sub_path: false,
    check: None,
    has_shell: true,
    is_store: false,
};

const STORE: Known = Known { is_store: true, ..NOTHING };

/// The table.
const IMAGES: &[Known] = &[
    Known {
        names: &["postgres", "postgis/postgis", "pgvector/pgvector"],
        users: &[("postgres", 999, 999)],
        users_on_alpine: &[("postgres", 70, 70)],
        // From 18 on the volume is the folder above, and the data two below it.
        data: &["/var/lib/postgresql/data", "/var/lib/postgresql"],
        wants_sub_path: true,
        check: Some("pg_isready -U \"${POSTGRES_USER:-postgres}\""),
        ..STORE
    },
    Known {
        // On Alpine whatever its tag.
        names: &["timescale/timescaledb"],
        users: &[("postgres", 70, 70)],
        data: &["/var/lib/postgresql/data", "/var/lib/postgresql"],
        wants_sub_path: true,
        check: Some("pg_isready -U \"${POSTGRES_USER:-postgres}\""),
        ..STORE
    },
    Known {
        names: &["mysql"],
        users: &[("mysql", 999, 999)],
        data: &["/var/lib/mysql"],
        wants_sub_path: true,
        check: Some("mysqladmin ping -h 127.0.0.1 --silent"),
        ..STORE
    },
    Known {
        names: &["percona", "percona/percona-server"],
        users: &[("mysql", 1001, 1001)],
        runs_as: Some((1001, 1001)),
        data: &["/var/lib/mysql"],
        wants_sub_path: true,
        check: Some("mysqladmin ping -h 127.0.0.1 --silent"),
        ..STORE
    },
    Known {
        names: &["mariadb"],
        users: &[("mysql", 999, 999)],
        data: &["/var/lib/mysql"],
        wants_sub_path: true,
        check: Some("healthcheck.sh --connect --innodb_initialized"),
        ..STORE
    },
    Known {
        names: &["redis", "valkey/valkey"],
        users: &[("redis", 999, 999), ("valkey", 999, 999)],
        users_on_alpine: &[("redis", 999, 1000), ("valkey", 999, 1000)],
        data: &["/data"],
        check: Some("redis-cli ping | grep -q PONG"),
        ..STORE
    },
    Known { names: &["redis/redis-stack-server"], data: &["/data"], ..STORE },
    Known {
        names: &["mongo"],
        users: &[("mongodb", 999, 999)],
        data: &["/data/db", "/data/configdb"],
        check: Some("mongosh --quiet --eval 'db.runCommand({ping: 1}).ok' | grep -q 1"),
        ..STORE
    },
    Known {
        names: &["elasticsearch", "elasticsearch/elasticsearch"],
        users: &[("elasticsearch", 1000, 1000)],
        runs_as: Some((1000, 0)),
        data: &["/usr/share/elasticsearch/data"],
        ..STORE
    },
    Known {
        names: &["opensearchproject/opensearch"],
        users: &[("opensearch", 1000, 1000)],
        runs_as: Some((1000, 1000)),
        data: &["/usr/share/opensearch/data"],
        ..STORE
    },
    Known {
        names: &["rabbitmq"],
        users: &[("rabbitmq", 999, 999)],
        users_on_alpine: &[("rabbitmq", 100, 101)],
        data: &["/var/lib/rabbitmq"],
        check: Some("rabbitmq-diagnostics -q ping"),
        ..STORE
    },
    Known { names: &["memcached"], users: &[("memcache", 11211, 11211)], runs_as: Some((11211, 11211)), ..STORE },
    Known { names: &["qdrant/qdrant"], data: &["/qdrant/storage", "/qdrant/snapshots"], ..STORE },
    Known { names: &["minio/minio"], data: &["/data"], ..STORE },
    Known {
        names: &["influxdb"],
        users: &[("influxdb", 1000, 1000)],
        data: &["/var/lib/influxdb", "/var/lib/influxdb2"],
        ..STORE
    },
    Known {
        names: &["clickhouse", "clickhouse/clickhouse-server"],
        users: &[("clickhouse", 101, 101)],
        data: &["/var/lib/clickhouse"],
        ..STORE
    },
    Known { names: &["cassandra"], users: &[("cassandra", 999, 999)], data: &["/var/lib/cassandra"], ..STORE },
    Known { names: &["neo4j"], users: &[("neo4j", 7474, 7474)], data: &["/data", "/logs"], ..STORE },
    Known { names: &["getmeili/meilisearch"], data: &["/meili_data"], ..STORE },
    Known {
        names: &["grafana/grafana", "grafana/grafana-oss", "grafana/grafana-enterprise"],
        users: &[("grafana", 472, 0)],
        runs_as: Some((472, 0)),
        data: &["/var/lib/grafana"],
        ..NOTHING
    },
    Known {
        names: &["prom/prometheus", "prometheus/prometheus"],
        runs_as: Some((65534, 65534)),
        data: &["/prometheus"],
        ..NOTHING
    },
    Known {
        names: &["prom/alertmanager", "prometheus/alertmanager"],
        runs_as: Some((65534, 65534)),
        data: &["/alertmanager"],
        ..NOTHING
    },
    Known { names: &["grafana/loki"], runs_as: Some((10001, 10001)), data: &["/loki"], has_shell: false, ..NOTHING },
    Known {
        names: &["dpage/pgadmin4"],
        users: &[("pgadmin", 5050, 0)],
        runs_as: Some((5050, 0)),
        data: &["/var/lib/pgadmin"],
        ..NOTHING
    },
    Known {
        names: &["jenkins/jenkins"],
        users: &[("jenkins", 1000, 1000)],
        runs_as: Some((1000, 1000)),
        data: &["/var/jenkins_home"],
        ..NOTHING
    },
    Known {
        names: &["nginx"],
        users: &[("nginx", 101, 101)],
        check: Some("curl -fsS -o /dev/null http://127.0.0.1/"),
        ..NOTHING
    },
    Known {
        names: &["nginxinc/nginx-unprivileged"],
        users: &[("nginx", 101, 101)],
        runs_as: Some((101, 101)),
        ..NOTHING
    },
    Known { names: &["node"], users: &[("node", 1000, 1000)], ..NOTHING },
    Known {
        names: &["httpd"],
        users: &[("www-data", 33, 33), ("daemon", 1, 1)],
        users_on_alpine: &[("www-data", 82, 82), ("daemon", 2, 2)],
        ..NOTHING
    },
    Known {
        names: &["wordpress", "nextcloud"],
        users: &[("www-data", 33, 33)],
        users_on_alpine: &[("www-data", 82, 82)],
        // What the program is made of is copied there when the folder is empty.
        data: &["/var/www/html"],
        ..NOTHING
    },
    Known {
        names: &["n8nio/n8n"],
        users: &[("node", 1000, 1000)],
        runs_as: Some((1000, 1000)),
        data: &["/home/node/.n8n"],
        ..NOTHING
    },
    Known { names: &["ollama/ollama"], data: &["/root/.ollama"], ..NOTHING },
    Known { names: &["caddy"], data: &["/data", "/config"], ..NOTHING },
    Known { names: &["portainer/portainer-ce"], data: &["/data"], has_shell: false, ..NOTHING },
];

/// What is known of an image, by its reference.
pub fn of(image: &str) -> Option<&'static Known> {
    let name = name(image);
    IMAGES.iter().find(|known| known.names.contains(&name))
}

impl Known {
    /// User and group of a name in this image.
    pub fn user(&self, image: &str, name: &str) -> Option<(i64, i64)> {
        let on_alpine = tag(image).is_some_and(|tag| tag.contains("alpine"));
        let own = if on_alpine && !self.users_on_alpine.is_empty() { self.users_on_alpine } else { self.users };
        own.iter().find(|(user, ..)| *user == name).map(|(_, user, group)| (*user, *group))
    }

    /// The folder of a claim that is to be mounted at a path instead of its root, which may hold `lost+found`.
    pub fn sub_path_at(&self, path: &str) -> Option<&'static str> {
        (self.wants_sub_path && self.data.first() == Some(&path)).then_some("data")
    }

    /// Whether it keeps data at a path: there, or above it.
    pub fn keeps_data_at(&self, path: &str) -> bool {
        let below =
            |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.data.iter().any(|folder| below(folder))
    }
}

/// User and group of a name in an image; of `root` and `nobody` in any.
pub fn user(image: &str, name: &str) -> Option<(i64, i64)> {
    let known = of(image).and_then(|known| known.user(image, name));
    known.or(match name {
        "root" => Some((0, 0)),
        "nobody" => Some((65534, 65534)),
        _ => None,
    })
}

/// The name of an image without registry, `library/`, tag and digest.
fn name(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or_default();
    let slash = image.rfind('/').map_or(0, |at| at + 1);
    let end = image.get(slash..).and_then(|last| last.find(':')).map_or(image.len(), |at| slash + at);
    let name = image.get(..end).unwrap_or_default();
    let name = match name.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => rest,
        _ => name,
    };
    name.strip_prefix("library/").unwrap_or(name)
}

/// The tag of an image.
fn tag(image: &str) -> Option<&str> {
    image.split('@').next()?.rsplit('/').next()?.split_once(':').map(|(_, tag)| tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_its_name_alone() {
        for image in [
            "postgres",
            "postgres:15-alpine",
            "library/postgres",
            "docker.io/library/postgres:16",
            "localhost:5000/postgres@sha256:00",
        ] {
            assert!(of(image).is_some_and(|known| known.sub_path_at("/var/lib/postgresql/data").is_some()), "{image}");
        }
        assert!(of("docker.elastic.co/elasticsearch/elasticsearch:8.1.0").is_some());
        assert!(of("registry.example/shop/postgres:1").is_none());
        assert!(of("me/postgres").is_none() && of("").is_none());
    }

    #[test]
    fn users_have_the_numbers_of_their_image() {
        assert_eq!(user("postgres:15-alpine", "postgres"), Some((70, 70)));
        assert_eq!(user("postgres:15", "postgres"), Some((999, 999)));
        assert_eq!(user("timescale/timescaledb:latest-pg16", "postgres"), Some((70, 70)));
        assert_eq!(user("node:20-alpine", "node"), Some((1000, 1000)));
        assert_eq!(user("httpd:2.4-alpine", "www-data"), Some((82, 82)));
        assert_eq!(user("grafana/grafana:11.0.0", "grafana"), Some((472, 0)));
        assert_eq!(user("percona:8.0", "mysql"), Some((1001, 1001)));
        assert_eq!(user("anything", "root"), Some((0, 0)));
        assert_eq!(user("anything", "nobody"), Some((65534, 65534)));
        assert_eq!(user("anything", "app"), None);
    }

    #[test]
    fn data_is_kept_in_the_folder_and_below() {
        let postgres = of("postgres:15").unwrap();
        assert!(postgres.keeps_data_at("/var/lib/postgresql/data"));
        assert!(postgres.keeps_data_at("/var/lib/postgresql/data/pgdata"));
        assert_eq!(postgres.sub_path_at("/var/lib/postgresql"), None);
        assert!(
            !postgres.keeps_data_at("/var/lib/postgresql-more")
                && !postgres.keeps_data_at("/docker-entrypoint-initdb.d")
        );
    }

    #[test]
    fn no_image_stands_in_the_table_twice() {
        let mut names: Vec<&str> = IMAGES.iter().flat_map(|known| known.names.iter().copied()).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
