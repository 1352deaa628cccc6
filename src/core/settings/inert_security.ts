// Kafka's settings of TLS, SASL and delegation tokens, which are accepted without effect: security is
// set up where the transport and the logins are.
// Plain text, so that it costs nothing to load, and read only when such a name is met (describe, -o);
// definitions.ts reads it. A line "# status reason" holds for the lines below it.

/** Broker settings, in the form that `readDefinitions` takes. */
export const INERT_SECURITY_SETTINGS_TEXT: string = `
# without-effect certificates are set up with the transport in the config file
security.inter.broker.protocol string PLAINTEXT [PLAINTEXT|SSL|SASL_PLAINTEXT|SASL_SSL] medium
ssl.allow.dn.changes boolean false [] low
ssl.allow.san.changes boolean false [] low
ssl.cipher.suites list "" [] medium dynamic-broker
ssl.client.auth string none [required|requested|none] medium dynamic-broker
ssl.enabled.protocols list TLSv1.2,TLSv1.3 [] medium dynamic-broker
ssl.endpoint.identification.algorithm string https [] low dynamic-broker
ssl.engine.factory.class class null [] low dynamic-broker
ssl.key.password password null [] medium dynamic-broker
ssl.keymanager.algorithm string SunX509 [] medium dynamic-broker
ssl.keystore.certificate.chain password null [] medium dynamic-broker
ssl.keystore.key password null [] medium dynamic-broker
ssl.keystore.location string null [] medium dynamic-broker
ssl.keystore.password password null [] medium dynamic-broker
ssl.keystore.type string JKS [] medium dynamic-broker
ssl.principal.mapping.rules string DEFAULT [] low
ssl.protocol string TLSv1.3 [] medium dynamic-broker
ssl.provider string null [] medium dynamic-broker
ssl.secure.random.implementation string null [] low dynamic-broker
ssl.trustmanager.algorithm string PKIX [] medium dynamic-broker
ssl.truststore.certificates password null [] medium dynamic-broker
ssl.truststore.location string null [] medium dynamic-broker
ssl.truststore.password password null [] medium dynamic-broker
ssl.truststore.type string JKS [] medium dynamic-broker
# without-effect delegation tokens are not here
delegation.token.expiry.check.interval.ms long 3600000 [1..] low
delegation.token.expiry.time.ms long 86400000 [1..] medium
delegation.token.max.lifetime.ms long 604800000 [1..] medium
delegation.token.secret.key password null [] medium
# without-effect logins are set up under 'auth' in the config file
sasl.client.callback.handler.class class null [] medium
sasl.enabled.mechanisms list GSSAPI [] medium dynamic-broker
sasl.jaas.config password null [] medium dynamic-broker
sasl.kerberos.kinit.cmd string null [] medium dynamic-broker
sasl.kerberos.min.time.before.relogin long 60000 [] medium dynamic-broker
sasl.kerberos.principal.to.local.rules list DEFAULT [] medium dynamic-broker
sasl.kerberos.service.name string null [] medium dynamic-broker
sasl.kerberos.ticket.renew.jitter double 0.05 [] medium dynamic-broker
sasl.kerberos.ticket.renew.window.factor double 0.8 [] medium dynamic-broker
sasl.login.callback.handler.class class null [] medium
sasl.login.class class null [] medium
sasl.login.connect.timeout.ms int null [] low
sasl.login.read.timeout.ms int null [] low
sasl.login.refresh.buffer.seconds short 300 [] medium dynamic-broker
sasl.login.refresh.min.period.seconds short 60 [] medium dynamic-broker
sasl.login.refresh.window.factor double 0.8 [] medium dynamic-broker
sasl.login.refresh.window.jitter double 0.05 [] medium dynamic-broker
sasl.login.retry.backoff.max.ms long 10000 [] low
sasl.login.retry.backoff.ms long 100 [] low
sasl.mechanism.controller.protocol string GSSAPI [] high
sasl.mechanism.inter.broker.protocol string GSSAPI [] medium dynamic-broker
sasl.oauthbearer.assertion.algorithm string RS256 [~ES256|RS256] medium
sasl.oauthbearer.assertion.claim.aud string null [] medium
sasl.oauthbearer.assertion.claim.exp.seconds int 300 [0..86400] low
sasl.oauthbearer.assertion.claim.iss string null [] medium
sasl.oauthbearer.assertion.claim.jti.include boolean false [] medium
sasl.oauthbearer.assertion.claim.nbf.seconds int 60 [0..3600] low
sasl.oauthbearer.assertion.claim.sub string null [] medium
sasl.oauthbearer.assertion.file string null [] medium
sasl.oauthbearer.assertion.private.key.file string null [] medium
sasl.oauthbearer.assertion.private.key.passphrase password null [] medium
sasl.oauthbearer.assertion.template.file string null [] medium
sasl.oauthbearer.client.credentials.client.id string null [] medium
sasl.oauthbearer.client.credentials.client.secret password null [] medium
sasl.oauthbearer.clock.skew.seconds int 30 [] low
sasl.oauthbearer.expected.audience list "" [] high
sasl.oauthbearer.expected.issuer string null [] high
sasl.oauthbearer.jwks.endpoint.refresh.ms long 3600000 [] low
sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms long 10000 [] low
sasl.oauthbearer.jwks.endpoint.retry.backoff.ms long 100 [] low
sasl.oauthbearer.jwks.endpoint.url string null [] medium
sasl.oauthbearer.jwt.retriever.class class org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever [] medium
sasl.oauthbearer.jwt.validator.class class org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator [] medium
sasl.oauthbearer.scope string null [] medium
sasl.oauthbearer.scope.claim.name string scope [] low
sasl.oauthbearer.sub.claim.name string sub [] low
sasl.oauthbearer.token.endpoint.url string null [] medium
sasl.server.callback.handler.class class null [] medium
`;
