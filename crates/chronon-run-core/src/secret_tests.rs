//! Real settings of Spark, Hadoop, S3, Azure, GCS, Kafka, JDBC and Snowflake, and near-misses.

use proptest::prelude::*;

use super::*;

const S: &str = "hunter2SECRET";

/// Name and value; every `hunter2SECRET` in the value is secret.
const SECRET: &[(&str, &str)] = &[
    ("spark.hadoop.fs.s3a.secret.key", "hunter2SECRET"),
    ("spark.hadoop.fs.s3a.access.key", "hunter2SECRET"),
    ("spark.hadoop.fs.s3a.session.token", "hunter2SECRET"),
    ("spark.hadoop.fs.s3a.encryption.key", "hunter2SECRET"),
    (
        "spark.hadoop.fs.s3a.server-side-encryption.key",
        "hunter2SECRET",
    ),
    (
        "spark.hadoop.fs.s3a.bucket.acme.secret.key",
        "hunter2SECRET",
    ),
    (
        "spark.hadoop.fs.s3a.bucket.acme.access.key",
        "hunter2SECRET",
    ),
    ("spark.hadoop.fs.s3a.proxy.password", "hunter2SECRET"),
    ("fs.s3n.awsSecretAccessKey", "hunter2SECRET"),
    ("fs.s3n.awsAccessKeyId", "hunter2SECRET"),
    ("spark.executorEnv.AWS_SECRET_ACCESS_KEY", "hunter2SECRET"),
    ("spark.executorEnv.AWS_ACCESS_KEY_ID", "hunter2SECRET"),
    ("AWS_SESSION_TOKEN", "hunter2SECRET"),
    (
        "spark.hadoop.fs.azure.account.key.acme.dfs.core.windows.net",
        "hunter2SECRET",
    ),
    (
        "fs.azure.account.key.acme.blob.core.windows.net",
        "hunter2SECRET",
    ),
    (
        "spark.hadoop.fs.azure.sas.c.acme.blob.core.windows.net",
        "hunter2SECRET",
    ),
    (
        "fs.azure.sas.fixed.token.acme.dfs.core.windows.net",
        "hunter2SECRET",
    ),
    ("fs.azure.account.oauth2.client.secret", "hunter2SECRET"),
    (
        "fs.azure.account.oauth2.client.secret.acme.dfs.core.windows.net",
        "hunter2SECRET",
    ),
    ("fs.azure.account.oauth2.refresh.token", "hunter2SECRET"),
    ("fs.azure.account.oauth2.user.password", "hunter2SECRET"),
    ("AZURE_STORAGE_KEY_SAS", "hunter2SECRET"),
    ("AZURE_STORAGE_CONNECTION_STRING", "hunter2SECRET"),
    ("AZURE_CLIENT_SECRET", "hunter2SECRET"),
    (
        "spark.hadoop.fs.gs.auth.service.account.private.key",
        "hunter2SECRET",
    ),
    (
        "spark.hadoop.google.cloud.auth.service.account.private.key",
        "hunter2SECRET",
    ),
    ("spark.hadoop.fs.gs.auth.client.secret", "hunter2SECRET"),
    ("spark.hadoop.fs.gs.auth.refresh.token", "hunter2SECRET"),
    ("spark.hadoop.fs.gs.encryption.key", "hunter2SECRET"),
    ("spark.hadoop.fs.gs.proxy.password", "hunter2SECRET"),
    ("spark.authenticate.secret", "hunter2SECRET"),
    ("spark.ssl.keyPassword", "hunter2SECRET"),
    ("spark.ssl.keyStorePassword", "hunter2SECRET"),
    ("spark.ssl.trustStorePassword", "hunter2SECRET"),
    ("spark.ssl.historyServer.keyStorePassword", "hunter2SECRET"),
    ("spark.ui.proxy.signingKey", "hunter2SECRET"),
    ("spark.executorEnv.SIGNING_KEY", "hunter2SECRET"),
    (
        "spark.kubernetes.authenticate.submission.oauthToken",
        "hunter2SECRET",
    ),
    (
        "spark.kubernetes.authenticate.driver.oauthToken",
        "hunter2SECRET",
    ),
    (
        "spark.hadoop.javax.jdo.option.ConnectionPassword",
        "hunter2SECRET",
    ),
    (
        "spark.hadoop.hive.server2.keystore.password",
        "hunter2SECRET",
    ),
    (
        "spark.hadoop.hive.metastore.token.signature.secret",
        "hunter2SECRET",
    ),
    (
        "hadoop.security.group.mapping.ldap.bind.password",
        "hunter2SECRET",
    ),
    ("ssl.server.keystore.keypassword", "hunter2SECRET"),
    ("dfs.web.authentication.signature.secret", "hunter2SECRET"),
    (
        "kafka.sasl.jaas.config",
        "PlainLoginModule required username=\"u\" password=\"hunter2SECRET\";",
    ),
    ("kafka.ssl.keystore.password", "hunter2SECRET"),
    ("kafka.ssl.key.password", "hunter2SECRET"),
    ("kafka.ssl.truststore.password", "hunter2SECRET"),
    (
        "kafka.ssl.keystore.key",
        "-----BEGIN PRIVATE KEY-----\nhunter2SECRET\n-----END PRIVATE KEY-----",
    ),
    ("schema.registry.basic.auth.user.info", "u:hunter2SECRET"),
    ("kafka.sasl.oauthbearer.client.secret", "hunter2SECRET"),
    ("sfPassword", "hunter2SECRET"),
    ("spark.snowflake.sfPassword", "hunter2SECRET"),
    ("pem_private_key", "hunter2SECRET"),
    ("sfToken", "hunter2SECRET"),
    ("snowflake.private.key.passphrase", "hunter2SECRET"),
    ("SNOWSQL_PWD", "hunter2SECRET"),
    ("PGPASSWORD", "hunter2SECRET"),
    ("MYSQL_PWD", "hunter2SECRET"),
    ("DB_PASS", "hunter2SECRET"),
    ("spark.acme.pwd", "hunter2SECRET"),
    (
        "spark.acme.source",
        "jdbc:oracle:thin:scott/hunter2SECRET@//h:1521/orcl",
    ),
    ("JDBC", "jdbc:oracle:oci8:scott/hunter2SECRET@orcl"),
    ("spark.acme.passphrase", "hunter2SECRET"),
    ("REDIS_PASSWORD", "hunter2SECRET"),
    ("spark.redis.auth.password", "hunter2SECRET"),
    ("spark.cassandra.auth.password", "hunter2SECRET"),
    ("es.net.http.auth.pass", "hunter2SECRET"),
    (
        "spark.mongodb.connection.uri",
        "mongodb://u:hunter2SECRET@h:27017/d",
    ),
    ("DATABRICKS_TOKEN", "hunter2SECRET"),
    ("GITHUB_PAT", "hunter2SECRET"),
    ("NPM_AUTH_TOKEN", "hunter2SECRET"),
    ("OPENAI_API_KEY", "hunter2SECRET"),
    ("x.apiKey", "hunter2SECRET"),
    (
        "spark.jdbc.url",
        "jdbc:postgresql://h:5432/d?user=u&password=hunter2SECRET&ssl=true",
    ),
    (
        "spark.hadoop.javax.jdo.option.ConnectionURL",
        "jdbc:mysql://h/db?user=u&password=hunter2SECRET",
    ),
    (
        "url",
        "jdbc:sqlserver://h:1433;databaseName=d;user=u;password=hunter2SECRET;encrypt=true",
    ),
    (
        "url",
        "jdbc:snowflake://a.snowflakecomputing.com/?user=u&password=hunter2SECRET&db=d",
    ),
    ("url", "jdbc:redshift://h:5439/d?UID=u&PWD=hunter2SECRET"),
    (
        "url",
        "https://acme.blob.core.windows.net/c?sv=2020&sig=hunter2SECRET",
    ),
    (
        "url",
        "https://b.s3.amazonaws.com/k?X-Amz-Signature=hunter2SECRET",
    ),
    (
        "spark.jars",
        "https://user:hunter2SECRET@repo/x.jar,https://repo/y.jar",
    ),
    (
        "spark.jars.repositories",
        "https://user:hunter2SECRET@repo/maven",
    ),
    ("http_proxy", "http://u:hunter2SECRET@proxy:3128"),
    ("redis", "redis://:hunter2SECRET@h:6379/0"),
    ("amqp", "amqps://u:hunter2SECRET@h/v"),
    (
        "spark.driver.extraJavaOptions",
        "-Xmx2g -Djavax.net.ssl.trustStorePassword=hunter2SECRET -Da=b",
    ),
    (
        "spark.executor.extraJavaOptions",
        "-Dhttp.proxyPassword=hunter2SECRET",
    ),
    ("spark.acme.auth", "Bearer hunter2SECRET"),
    ("header", "Authorization: Basic hunter2SECRET"),
    ("header", "x-auth:Bearer hunter2SECRET"),
    (
        "conn",
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=hunter2SECRET==;EndpointSuffix=x",
    ),
    (
        "conn",
        "Endpoint=sb://n/;SharedAccessKeyName=r;SharedAccessKey=hunter2SECRET=",
    ),
    (
        "json",
        "{\"user\":\"u\",\"private_key\":\"-----BEGIN RSA PRIVATE KEY-----\\nhunter2SECRET\\n-----END RSA PRIVATE KEY-----\\n\"}",
    ),
    ("spark.snowflake.sfAuthPwd", "hunter2SECRET"),
    ("spark.acme.auth.key", "hunter2SECRET"),
    ("spark.acme.hmac.key", "hunter2SECRET"),
    ("spark.acme.storageKey", "hunter2SECRET"),
    ("spark.acme.jwt", "hunter2SECRET"),
    ("header", "X-Api-Key: hunter2SECRET"),
    ("header", "Cookie: session=hunter2SECRET"),
    ("text", "login with password: hunter2SECRET"),
    ("command", "tool --password hunter2SECRET --user u"),
    ("command", "tool --client-secret hunter2SECRET"),
    ("options", "-Xmx1g '-Dy.secret=a b hunter2SECRET' -Da=b"),
    ("innocent", "ghs_hunter2SECRETaaaaaaaaaaaaa"),
    ("innocent", "gho_hunter2SECRETaaaaaaaaaaaaa"),
    ("innocent", "xoxp-hunter2SECRETaaaaaaaaa"),
    ("innocent", "xoxb-hunter2SECRETaaaaaaaaa"),
    ("innocent", "hf_hunter2SECRETaaaaaaaaaaaaaaaaa"),
    ("innocent", "npm_hunter2SECRETaaaaaaaaaaaaaaaaa"),
    ("innocent", "pypi-hunter2SECRETaaaaaaaaaaaaaaaaa"),
    ("innocent", "SG.hunter2SECRETaaaa.bbbbbbbbbbbbbbb"),
    (
        "innocent",
        "dapi00112233445566778899aabbccddeehunter2SECRET",
    ),
    ("innocent", "github_pat_hunter2SECRETaaaaaaaaaaaa"),
    ("innocent", "glpat-hunter2SECRETaaaaa"),
    ("innocent", "sk-ant-hunter2SECRETaaaaaaaaaaa"),
    ("innocent", "eyJhbGciOiJIUzI1NiJ9.hunter2SECRET.abc"),
    ("innocent", "token is ghp_hunter2SECRETaaaaaaaaaa, or so"),
    ("url", "https://ghp_hunter2SECRETaaaaaaaaaa@github.com/x"),
    (
        "url",
        "https://hooks.slack.com/services/T000/B000/hunter2SECRET",
    ),
    (
        "spark.hadoop.fs.s3a.server-side-encryption-key",
        "hunter2SECRET",
    ),
    ("fs.oss.accessKeySecret", "hunter2SECRET"),
    ("fs.oss.accessKeyId", "hunter2SECRET"),
    ("fs.obs.secret.key", "hunter2SECRET"),
    ("fs.cosn.userinfo.secretKey", "hunter2SECRET"),
    ("fs.swift.service.acme.apikey", "hunter2SECRET"),
    ("fs.ftp.password.localhost", "hunter2SECRET"),
    ("spark.sql.catalog.rest.credential", "client:hunter2SECRET"),
    ("spark.sql.catalog.rest.token", "hunter2SECRET"),
    (
        "spark.sql.catalog.rest.s3.secret-access-key",
        "hunter2SECRET",
    ),
    ("spark.sql.catalog.rest.s3.access-key-id", "hunter2SECRET"),
    ("spark.sql.catalog.rest.s3.session-token", "hunter2SECRET"),
    (
        "spark.sql.catalog.rest.header.Authorization",
        "Bearer hunter2SECRET",
    ),
    (
        "spark.sql.catalog.rest.adls.sas-token.acme",
        "hunter2SECRET",
    ),
    (
        "spark.sql.catalog.rest.adls.auth.shared-key.account.key",
        "hunter2SECRET",
    ),
    ("spark.sql.catalog.rest.gcs.oauth2.token", "hunter2SECRET"),
    ("spark.sql.catalog.jdbc.jdbc.password", "hunter2SECRET"),
    ("dfs.adls.oauth2.credential", "hunter2SECRET"),
    ("hive.server2.authentication.ldap.bindpw", "hunter2SECRET"),
    ("neo4j.authentication.basic.password", "hunter2SECRET"),
    ("es.net.ssl.keystore.pass", "hunter2SECRET"),
    ("spark.redis.auth", "hunter2SECRET"),
    ("spark.cosmos.accountKey", "hunter2SECRET"),
    ("spark.eventhubs.connectionString", "hunter2SECRET"),
    ("sasl.password", "hunter2SECRET"),
    ("bearer.auth.token", "hunter2SECRET"),
    ("spark.pulsar.authParams", "token:hunter2SECRET"),
    ("snowflake.private_key_file_pwd", "hunter2SECRET"),
    ("VAULT_TOKEN", "hunter2SECRET"),
    ("DATABASE_URL", "postgres://u:hunter2SECRET@h/d"),
    ("SNOWFLAKE_PASSWORD", "hunter2SECRET"),
    ("PRIVATE_KEY_PASSPHRASE", "hunter2SECRET"),
    ("KAFKA_SASL_JAAS_CONFIG", "hunter2SECRET"),
    (
        "kafka.sasl.jaas.config",
        "OAuthBearerLoginModule required clientId=\"u\" clientSecret=\"hunter2SECRET\" scope=\"s\";",
    ),
    (
        "url",
        "jdbc:sqlserver://h;user=u;password={a;hunter2SECRET};encrypt=true",
    ),
    (
        "url",
        "jdbc:sqlserver://h;user=u;password={hunter2SECRET};encrypt=true",
    ),
    (
        "url",
        "jdbc:teradata://h/DATABASE=d,USER=u,PASSWORD=hunter2SECRET",
    ),
    ("url", "jdbc:db2://h:50000/d:user=u;password=hunter2SECRET;"),
    (
        "url",
        "jdbc:hive2://h:10000/default;user=u;password=hunter2SECRET",
    ),
    (
        "url",
        "jdbc:databricks://h:443;AuthMech=3;UID=token;PWD=hunter2SECRET",
    ),
    ("url", "jdbc:trino://h/c?accessToken=hunter2SECRET"),
    (
        "url",
        "jdbc:bigquery://h;OAuthType=0;OAuthPvtKey=hunter2SECRET;",
    ),
    (
        "url",
        "jdbc:snowflake://h/?private_key_file_pwd=hunter2SECRET",
    ),
    (
        "url",
        "jdbc:oracle:thin:scott/hunter2SECRET@(DESCRIPTION=(HOST=h))",
    ),
    ("url", "jdbc:mysql://u:hunter2SECRET@h/d"),
    ("header", "Proxy-Authorization: Basic hunter2SECRET"),
    ("header", "Proxy-Authorization: Bearer hunter2SECRET"),
    ("header", "Authorization: Token hunter2SECRET"),
    ("header", "authorization: bearer hunter2SECRET"),
    ("header", "X-Vault-Token: hunter2SECRET"),
    ("header", "Authorization: ApiKey hunter2SECRET"),
    ("header", "Authorization: SharedKey acct:hunter2SECRET"),
    (
        "header",
        "Authorization: AWS4-HMAC-SHA256 Credential=AKIAX/2026/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=hunter2SECRET",
    ),
    ("command", "curl -u admin:hunter2SECRET https://h/x"),
    ("command", "curl --user admin:hunter2SECRET https://h/x"),
    ("text", "{'user': 'u', 'password': 'hunter2SECRET'}"),
    ("text", "Map(user -> u, password -> hunter2SECRET)"),
    ("text", "{password=hunter2SECRET, user=u}"),
    (
        "sql",
        "CREATE TABLE t USING jdbc OPTIONS (url 'jdbc:x', user 'u', password 'hunter2SECRET')",
    ),
    (
        "sql",
        "CREATE TABLE t USING jdbc OPTIONS (url = 'jdbc:x', password = 'hunter2SECRET')",
    ),
    ("sql", "SET spark.hadoop.fs.s3a.secret.key=hunter2SECRET;"),
    ("yaml", "  api_key: hunter2SECRET"),
    ("yaml", "password: hunter2SECRET"),
    ("innocent", "AKIAhunter2SECRETaaaaaaaaa"),
    (
        "innocent",
        "sig is https://acme.blob.core.windows.net/c?sv=2022-11-02&ss=b&srt=sco&sp=rl&se=2027&spr=https&sig=hunter2SECRET%3D",
    ),
    (
        "innocent",
        "SharedAccessSignature sr=n&sig=hunter2SECRET&se=1&skn=r",
    ),
    (
        "spark.executorEnv.SLACK_URL",
        "https://hooks.slack.com/services/T/B/hunter2SECRET",
    ),
    ("url", "https://discord.com/api/webhooks/1/hunter2SECRET"),
    (
        "spark.hadoop.fs.gs.x",
        "{\"type\": \"authorized_user\", \"refresh_token\": \"hunter2SECRET\"}",
    ),
    (
        "key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nhunter2SECRET\n-----END ENCRYPTED PRIVATE KEY-----",
    ),
    (
        "key",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2SECRET\n-----END OPENSSH PRIVATE KEY-----",
    ),
    (
        "key",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nhunter2SECRET\n-----END PGP PRIVATE KEY BLOCK-----",
    ),
    (
        "text",
        "failed: -----BEGIN PRIVATE KEY-----\\nhunter2SECRET",
    ),
    (
        "spark.driver.extraJavaOptions",
        "-Djavax.net.ssl.keyStorePassword='a b hunter2SECRET' -Xmx1g",
    ),
    (
        "spark.driver.extraJavaOptions",
        "\"-Djavax.net.ssl.keyStorePassword=a b hunter2SECRET\" -Xmx1g",
    ),
    (
        "spark.driver.extraJavaOptions",
        "-Doracle.net.wallet_password=hunter2SECRET",
    ),
    ("redis", "rediss://default:hunter2SECRET@h:6379"),
    (
        "spark.jars.packages.repo",
        "https://hunter2SECRET:x-oauth-basic@github.com/r",
    ),
    // A printed Scala map, JSON within a string, numbers, no blank after the colon.
    ("text", "Map(Authorization -> Bearer hunter2SECRET, a -> b)"),
    ("text", "Map(Authorization -> hunter2SECRET)"),
    ("text", "Authorization = Token hunter2SECRET"),
    ("header", "Authorization:Token hunter2SECRET"),
    ("json", r#"{"conf": "{\"password\":\"hunter2SECRET\"}"}"#),
    (
        "json",
        r#"{\"user\":\"u\",\"password\": \"a b, hunter2SECRET\"}"#,
    ),
    ("json", r#"{\\\"password\\\":\\\"hunter2SECRET\\\"}"#),
    ("json", r#"{\"password\":12345hunter2SECRET}"#),
    ("json", r#"{"password":hunter2SECRET}"#),
    ("json", r#"{"user":"u", "api_key": hunter2SECRET, "a":1}"#),
    ("json", "\"password\": hunter2SECRET"),
    ("json", "{'password' : hunter2SECRET}"),
    ("yaml", "{password: hunter2SECRET, user: u}"),
    ("text", "password:hunter2SECRET"),
    ("text", "user:u,password:hunter2SECRET,a:b"),
    ("text", "client_secret:hunter2SECRET"),
    // Settings beside their values: tables, pairs, files of Hadoop.
    ("text", "fs.s3a.secret.key\thunter2SECRET"),
    ("text", "AWS_SECRET_ACCESS_KEY\thunter2SECRET"),
    ("text", "spark.hadoop.fs.s3a.secret.key    hunter2SECRET"),
    ("text", "(fs.s3a.secret.key,hunter2SECRET)"),
    (
        "text",
        "Array((a.b,c), (spark.hadoop.fs.s3a.secret.key,hunter2SECRET))",
    ),
    ("text", "(fs.s3a.secret.key, hunter2SECRET)"),
    (
        "text",
        "[('fs.s3a.secret.key', 'a hunter2SECRET'), ('a', 'b')]",
    ),
    (
        "json",
        r#"[["spark.hadoop.fs.s3a.secret.key","hunter2SECRET"]]"#,
    ),
    ("text", "(AWS_SECRET_ACCESS_KEY,hunter2SECRET)"),
    (
        "xml",
        "<property><name>fs.s3a.secret.key</name><value>hunter2SECRET</value></property>",
    ),
    (
        "xml",
        "<property>\n  <name> fs.s3a.secret.key </name>\n  <final>true</final>\n  <value>a\nhunter2SECRET</value>\n</property>",
    ),
    // Percent encoding.
    (
        "url",
        "https://h/login?next=%2Fa%3Fpassword%3Dhunter2SECRET%26b%3Dc",
    ),
    ("url", "password%3Dhunter2SECRET"),
    ("url", "a%26sig%3Dhunter2SECRET"),
    ("url", "a%26pass%3dhunter2SECRET"),
    ("url", "%7B%22password%22%3A%22hunter2SECRET%22%7D"),
    ("header", "Cookie: a=1; b=hunter2SECRET; c=hunter2SECRET"),
    ("header", "Cookie:a=1;b=hunter2SECRET; c=hunter2SECRET"),
    ("header", "Map(Cookie -> a=1; b=hunter2SECRET)"),
    ("header", "curl -H 'Cookie: a=1; b=hunter2SECRET' https://h"),
    ("header", "Set-Cookie: a=1; session=hunter2SECRET"),
    ("dbPass", "hunter2SECRET"),
    ("spark.acme.dbPass", "hunter2SECRET"),
    ("storepass", "hunter2SECRET"),
    ("keypass", "hunter2SECRET"),
    ("passcode", "hunter2SECRET"),
    (
        "command",
        "keytool -storepass hunter2SECRET -keypass hunter2SECRET",
    ),
    ("command", "beeline -n u -password hunter2SECRET"),
    ("innocent", "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"),
    ("innocent", "xoxe-hunter2SECRETaaaaaaaaa"),
    ("innocent", "sk_test_hunter2SECRETaaaaaaaaa"),
    ("innocent", "whsec_hunter2SECRETaaaaaaaaa"),
    ("innocent", "dop_v1_hunter2SECRETaaaaaaaaaaaaaaaaaaaa"),
    ("innocent", "hvb.hunter2SECRETaaaaaaaaa"),
];

/// What must stay readable.
const HARMLESS: &[(&str, &str)] = &[
    ("spark.app.name", "team.a"),
    ("spark.sql.shuffle.partitions", "200"),
    (
        "spark.hadoop.fs.s3a.aws.credentials.provider",
        "com.amazonaws.auth.InstanceProfileCredentialsProvider",
    ),
    ("spark.hadoop.fs.s3a.endpoint", "http://127.0.0.1:9000"),
    (
        "spark.hadoop.hadoop.security.credential.provider.path",
        "jceks://file/etc/x.jceks",
    ),
    ("spark.authenticate", "true"),
    ("spark.authenticate.secret.file", "/etc/secret"),
    ("spark.authenticate.secretBitLength", "256"),
    ("spark.ssl.keyStore", "/etc/keystore.jks"),
    ("spark.ssl.keyStoreType", "JKS"),
    ("spark.kerberos.keytab", "/etc/u.keytab"),
    ("spark.kerberos.principal", "u@REALM"),
    ("spark.security.credentials.hive.enabled", "false"),
    ("spark.security.credentials.renewalRatio", "0.75"),
    ("spark.kerberos.renewal.credentials", "keytab"),
    ("hive.cluster.delegation.token.renew-interval", "86400000"),
    (
        "yarn.resourcemanager.delegation.token.max-lifetime",
        "604800000",
    ),
    ("spark.hadoop.fs.azure.account.auth.type", "OAuth"),
    ("fs.azure.account.oauth2.client.id", "b6b2c2f4"),
    (
        "fs.azure.account.oauth2.client.endpoint",
        "https://login.microsoftonline.com/t/oauth2/token",
    ),
    ("fs.azure.sas.token.provider.type", "com.acme.Provider"),
    ("kafka.bootstrap.servers", "h1:9092,h2:9092"),
    ("kafka.security.protocol", "SASL_SSL"),
    ("kafka.sasl.mechanism", "PLAIN"),
    ("kafka.ssl.keystore.location", "/etc/k.jks"),
    ("basic.auth.credentials.source", "USER_INFO"),
    ("sfURL", "acme.snowflakecomputing.com"),
    ("sfUser", "u"),
    ("url", "jdbc:postgresql://h:5432/d?user=u&ssl=true"),
    ("url", "https://host:8080/a@b"),
    (
        "spark.driver.extraJavaOptions",
        "-Xmx2g -Duser.timezone=UTC -XX:+UseG1GC",
    ),
    (
        "spark.hadoop.hive.metastore.uris",
        "thrift://a:9083,thrift://b:9083",
    ),
    ("spark.sql.warehouse.dir", "s3a://bucket/warehouse"),
    ("spark.jars.packages", "org.apache.hadoop:hadoop-aws:3.3.1"),
    ("spark.memory.fraction", "0.6"),
    ("mail", "a@b.example"),
    ("sql", "SELECT key, pass_count FROM t WHERE a = 1"),
    ("spark.compass.enabled", "true"),
    ("spark.bypass.merge", "true"),
    ("HOME", "/home/token"),
    ("spark.acme.auth.keytab", "/etc/u.keytab"),
    ("text", "unexpected token: SELECT in line 3"),
    ("text", "the secret is that there is none"),
    ("text", "disk-sk-aaaaaaaaaaaaaaaaaaaaaaaaaa"),
    ("command", "tool --password-file /etc/p --user u"),
    ("text", "it's 'a=b c' and 'x y=z'"),
    ("path", "s3://bucket/hf_models/npm_cache/x.parquet"),
    ("GOOGLE_APPLICATION_CREDENTIALS", "/etc/key.json"),
    ("spark.io.encryption.keygen.algorithm", "HmacSHA1"),
    ("spark.io.encryption.keySizeBits", "128"),
    ("spark.hadoop.fs.s3a.encryption.algorithm", "SSE-KMS"),
    (
        "spark.redaction.regex",
        "(?i)secret|password|token|access[.]key",
    ),
    ("spark.acme.tokenizer", "simple"),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token"),
    ("command", "docker run -u 1000:1000 image"),
    ("text", "mismatched input 'x' expecting token 'SELECT'"),
    ("text", "basic or bearer of news"),
    ("text", "a = b and key -> value"),
    ("text", "bypass:x"),
    ("text", "passenger_count=3 and passenger_count:3"),
    ("text", "compass: north, compass:north"),
    ("command", "tool -bypass x"),
    (
        "text",
        "struct<user:string,token:string,password:array<string>>",
    ),
    ("text", "password\tstring\tnull"),
    ("text", "count(token,password) of (token,password)"),
    ("text", "the setting fs.s3a.secret.key is not set"),
    (
        "text",
        "at org.apache.hadoop.security.Credentials.readToken(Credentials.java:218)",
    ),
    (
        "text",
        "production/joins/team/password_resets.v1:12:5: error",
    ),
    ("text", "team/token.py:33: in token"),
    ("address", "secret-store.acme.com:8443"),
    ("image", "acme/token-service:v1.2.3"),
    ("packages", "com.acme.secrets:aws-secrets:v1"),
    ("text", "Token::new and token::read"),
    ("text", r#"{\"user\":\"u\",\"compass\":\"north\"}"#),
    ("xml", "<name>fs.s3a.endpoint</name><value>h:80</value>"),
    (
        "xml",
        "<property><name>a.secret.file</name><value>/etc/p</value></property>",
    ),
    ("url", "a%3Fuser%3Du%26compass%3Dnorth"),
    ("text", "cookies; a=1; b=2"),
    ("text", "sk_test_table and whsec_columns"),
];

#[test]
fn secrets_are_masked() {
    assert!(SECRET.len() >= 80);
    for (name, value) in SECRET {
        let shown = mask(name, value);
        assert!(
            !shown.contains(S) && shown.contains(MASK),
            "{name}={value}: {shown}"
        );
        assert_eq!(mask(name, &shown), shown, "masking twice changes nothing");
    }
}

#[test]
fn what_is_no_secret_stays() {
    let masked: Vec<_> = HARMLESS
        .iter()
        .filter(|(name, value)| holds_secret(name, value))
        .collect();
    assert!(masked.is_empty(), "{masked:?}");
}

#[test]
fn what_surrounds_a_secret_stays() {
    for (text, shown) in [
        (
            "jdbc:mysql://h/db?user=u&password=p1&a=b",
            "jdbc:mysql://h/db?user=u&password=***&a=b",
        ),
        (
            "https://u:p@h/x.jar,https://r/y.jar",
            "https://u:***@h/x.jar,https://r/y.jar",
        ),
        ("https://u:p/q?r@h/x", "https://u:***@h/x"),
        ("-Da.password=p -Xmx1g", "-Da.password=*** -Xmx1g"),
        (
            "Authorization: Bearer abcdefgh, x",
            "Authorization: Bearer ***, x",
        ),
        (
            "Map(Authorization -> Bearer abcdefgh, x -> y)",
            "Map(Authorization -> Bearer ***, x -> y)",
        ),
        (
            r#""{\"password\":\"p\",\"user\":\"u\"}", b"#,
            r#""{\"password\":\"***\",\"user\":\"u\"}", b"#,
        ),
        (r#"{"password":123,"a":1}"#, r#"{"password":***,"a":1}"#),
        (
            "(a.b.password,p), (a.b.c,d)",
            "(a.b.password,***), (a.b.c,d)",
        ),
        ("[('a.b.password', 'p')]", "[('a.b.password', '***')]"),
        (
            "<name>a.password</name><value>p</value><name>b</name><value>c</value>",
            "<name>a.password</name><value>***</value><name>b</name><value>c</value>",
        ),
        ("x%3Fpassword%3Dp%26a%3Db", "x%3Fpassword%3D***%26a%3Db"),
        ("Cookie: a=1; b=2\nnext=1", "Cookie: ***; ***\nnext=1"),
    ] {
        assert_eq!(mask_text(text), shown);
    }
}

#[test]
fn any_text_is_masked_without_a_panic() {
    for text in [
        "",
        "=",
        "://",
        "://:@",
        "é://ö:ü@ß?sig=ä",
        "-----BEGIN PRIVATE KEY",
        "a=b=c=d",
        "Bearer ",
        "Bearer",
    ] {
        let _ = mask_text(text);
        let _ = mask(text, text);
    }
}

/// What texts with secrets and near-misses are made of.
fn fragment() -> impl Strategy<Value = String> {
    let marks = [
        " ", "\n", ":", "=", "={", "}", "\"", "'", "&", "@", "://", "--", "-D", "é", "\u{a0}", "/",
        "\\", "\t", ",", ";", "(", ")", "->", "%3D", "%26", "%22", "<name>", "</name>", "<value>",
    ];
    let words = [
        "-u",
        "-keypass",
        "dbPass",
        "Cookie",
        "--user",
        "Basic",
        "bearer",
        "u:pw",
        "sig",
        "X-Amz-Signature",
        "pin",
        "to.ken",
        "pass/word",
        "tokenizpwd",
        "jdbc:oracle:thin:u/p@h",
        "AKIAABCDEFGHIJKLMNOP",
        "task-12",
        "sk-abcdefghijklmnopqrstuv",
        "eyJhbGciOiJIUzI1NiJ9.e30.abcdefghijkl",
        "hooks.slack.com/services/T1",
        "Authorization",
        "-----BEGIN RSA PRIVATE KEY-----",
        "-----END RSA PRIVATE KEY-----",
        "abc+/=",
        "path",
        "hunter2SECRET",
    ];
    let known = SECRET.iter().chain(HARMLESS);
    let known: Vec<&str> = known.flat_map(|(name, value)| [*name, *value]).collect();
    prop_oneof![
        4 => prop::sample::select(marks.to_vec()),
        3 => prop::sample::select(words.to_vec()),
        2 => prop::sample::select(known),
    ]
    .prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]
    #[test]
    fn a_text_that_is_not_looked_at_has_no_secret(
        text in prop::collection::vec(fragment(), 0..12).prop_map(|all| all.concat()),
    ) {
        prop_assert_eq!(mask_text(&text), mask_words(&text));
        let suspicious = scan::suspicious_lines(&text);
        for (number, line) in text.split('\n').enumerate() {
            if !suspicious.contains(&number) {
                prop_assert_eq!(mask_words(line), line);
            }
        }
    }
}

/// Nothing is looked at word by word in lines like these, of which logs are made.
#[test]
fn lines_of_spark_are_not_looked_at() {
    for line in [
        "26/11/29 11:00:00 INFO SparkContext: Running Spark version 3.5.1",
        "26/11/29 11:00:01 INFO TaskSetManager: Starting task 0.0 in stage 1.0 (TID 1) (host, executor driver, partition 0, PROCESS_LOCAL, 9212 bytes) ",
        "26/11/29 11:00:01 INFO FileScanRDD: Reading File path: file:///w/lake.db/visits/ds=2026-01-01/part-0.parquet, range: 0-1834, partition values: [20454]",
        "26/11/29 11:00:02 INFO BlockManagerInfo: Added broadcast_1_piece0 in memory on host:4040 (size: 34.3 KiB, free: 434.4 MiB)",
    ] {
        assert!(scan::suspicious_lines(line).is_empty(), "{line}");
    }
}

/// A value that is in another line than its name.
#[test]
fn a_log_with_settings_of_hadoop_is_masked_line_by_line() {
    let log = "<name>a.password</name>\n<final>true</final>\n<value>\np\n</value>\n<name>b</name>\n<value>c</value>\n";
    let expected = log.replace("\np\n", "\n***\n");
    let mut mask = LogMask::default();
    let shown: String = log
        .split_inclusive('\n')
        .map(|line| mask.mask(line).into_owned())
        .collect();
    assert_eq!(shown, expected);
    assert_eq!(LogMask::default().mask(log), expected);
}

/// Long lines of forms that a pass may begin to read again at each of their parts. Each pass reads a line once.
#[test]
fn long_lines_are_masked_as_a_whole() {
    for part in [
        "token:***",
        "token:string(",
        "password:",
        "\\\"",
        "\"'",
        "(a.b.token,",
        "password%3D",
        "<name>password</name>",
        "a-token:1",
        "Cookie:;",
    ] {
        let line = part.repeat(1_000);
        let shown = LogMask::default().mask(&line).into_owned();
        assert_eq!(mask_text(&shown), shown, "{part}");
    }
}
