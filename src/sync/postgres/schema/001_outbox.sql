-- What tills sent: their journals, entry by entry. Tickets and payments are views of them.
--
-- Tills log in under a role that is a member of `tresen_till`. It may call the functions granted below and nothing else:
-- it reads no table, and changes and deletes nothing.

CREATE SCHEMA IF NOT EXISTS tresen;
REVOKE ALL ON SCHEMA tresen FROM PUBLIC;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tresen_till') THEN
        CREATE ROLE tresen_till NOLOGIN;
    END IF;
END
$$;
GRANT USAGE ON SCHEMA tresen TO tresen_till;

CREATE TABLE tresen.schema_versions (
    version       integer PRIMARY KEY,
    name          text NOT NULL,
    applied_at    timestamptz NOT NULL DEFAULT now()
);

-- The tills that have said hello. A till's entries come from one login only: to move a till to another one, change
-- `login` here.
CREATE TABLE tresen.registered (
    till          text PRIMARY KEY,
    name          text NOT NULL,
    version       text NOT NULL,
    login         text NOT NULL,
    -- The till's clock at its last hello, and the server's.
    till_clock    timestamptz NOT NULL,
    seen_at       timestamptz NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT now()
);

-- Entries are numbered without gaps from `first` in each epoch; `through` is the last one before the first gap.
CREATE TABLE tresen.epochs (
    till          text NOT NULL REFERENCES tresen.registered (till),
    epoch         bigint NOT NULL,
    first         bigint NOT NULL,
    through       bigint NOT NULL,
    PRIMARY KEY (till, epoch)
);

CREATE TABLE tresen.entries (
    till          text NOT NULL,
    epoch         bigint NOT NULL,
    seq           bigint NOT NULL,
    at            timestamptz NOT NULL,
    kind          text NOT NULL,
    key           text NOT NULL,
    body          jsonb NOT NULL,
    station       text,
    source        text,
    operator      text,
    -- SHA-256 of the till's journal up to and including this entry.
    hash          text NOT NULL,
    received_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (till, epoch, seq),
    FOREIGN KEY (till, epoch) REFERENCES tresen.epochs (till, epoch)
);
CREATE INDEX entries_kind ON tresen.entries (kind, at);
CREATE INDEX entries_key ON tresen.entries (key);

-- Entries whose key was taken by another one. A person decides which of the two is right.
CREATE TABLE tresen.quarantine (
    till          text NOT NULL,
    epoch         bigint NOT NULL,
    seq           bigint NOT NULL,
    hash          text NOT NULL,
    entry         jsonb NOT NULL,
    received_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (till, epoch, seq, hash)
);

CREATE FUNCTION tresen.schema_version() RETURNS integer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'SELECT max(version) FROM tresen.schema_versions';

-- What the server has of each epoch of a till.
CREATE FUNCTION tresen.acks(till text) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object(
        'epoch', e.epoch, 'first', e.first, 'through', e.through, 'hash', x.hash) ORDER BY e.epoch), '[]')
    FROM tresen.epochs e
    LEFT JOIN tresen.entries x ON x.till = e.till AND x.epoch = e.epoch AND x.seq = e.through
    WHERE e.till = acks.till
$$;

-- Fails unless the till belongs to the login that calls.
CREATE FUNCTION tresen.check_login(till text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    owner text := (SELECT r.login FROM tresen.registered r WHERE r.till = check_login.till);
BEGIN
    IF owner IS NULL THEN
        RAISE EXCEPTION 'till % has not said hello', till USING ERRCODE = 'insufficient_privilege';
    ELSIF owner <> session_user THEN
        RAISE EXCEPTION 'till % belongs to the login %, not to %', till, owner, session_user
            USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;

-- {"till", "name", "version", "at"} → {"acks", "clock"}
CREATE FUNCTION tresen.hello(hello jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    who text := hello ->> 'till';
BEGIN
    INSERT INTO tresen.registered AS r (till, name, version, login, till_clock, seen_at)
    VALUES (who, hello ->> 'name', hello ->> 'version', session_user, (hello ->> 'at')::timestamptz, clock_timestamp())
    ON CONFLICT (till) DO UPDATE
        SET name = excluded.name, version = excluded.version, till_clock = excluded.till_clock,
            seen_at = excluded.seen_at
        WHERE r.login = session_user;
    PERFORM tresen.check_login(who);
    RETURN jsonb_build_object('acks', tresen.acks(who), 'clock', clock_timestamp());
END
$$;

-- {"till", "epoch", "seq"} → hash or null
CREATE FUNCTION tresen.hash_at(request jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT to_jsonb((
        SELECT e.hash FROM tresen.entries e
        WHERE e.till = request ->> 'till' AND e.epoch = (request ->> 'epoch')::bigint
          AND e.seq = (request ->> 'seq')::bigint
    ))
$$;

-- {"till", "entries": [...]} → {"acks", "quarantined": [[epoch, seq]]}
CREATE FUNCTION tresen.push(batch jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    who text := batch ->> 'till';
    quarantined jsonb;
BEGIN
    PERFORM tresen.check_login(who);
    INSERT INTO tresen.epochs (till, epoch, first, through)
    SELECT who, e.epoch, min(e.seq), min(e.seq) - 1
    FROM jsonb_to_recordset(batch -> 'entries') AS e (epoch bigint, seq bigint)
    GROUP BY e.epoch
    ON CONFLICT DO NOTHING;
    -- One batch of a till at a time.
    PERFORM FROM tresen.epochs e WHERE e.till = who ORDER BY e.epoch FOR UPDATE;

    INSERT INTO tresen.entries (till, epoch, seq, at, kind, key, body, station, source, operator, hash)
    SELECT who, e.epoch, e.seq, e.at, e.kind, e.key, e.body, e.station, e.source, e.operator, e.hash
    FROM jsonb_to_recordset(batch -> 'entries') AS e (
        epoch bigint, seq bigint, at timestamptz, kind text, key text, body jsonb, station text, source text,
        operator text, hash text)
    ON CONFLICT (till, epoch, seq) DO NOTHING;

    WITH other AS (
        SELECT (entry ->> 'epoch')::bigint AS epoch, (entry ->> 'seq')::bigint AS seq, entry ->> 'hash' AS hash, entry
        FROM jsonb_array_elements(batch -> 'entries') AS entry
    ), aside AS (
        SELECT o.* FROM other o
        JOIN tresen.entries e ON e.till = who AND e.epoch = o.epoch AND e.seq = o.seq
        WHERE e.hash <> o.hash
    ), kept AS (
        INSERT INTO tresen.quarantine (till, epoch, seq, hash, entry)
        SELECT who, a.epoch, a.seq, a.hash, a.entry FROM aside a
        ON CONFLICT DO NOTHING
    )
    SELECT coalesce(jsonb_agg(jsonb_build_array(a.epoch, a.seq) ORDER BY a.epoch, a.seq), '[]')
    INTO quarantined FROM aside a;

    UPDATE tresen.epochs AS e
    SET through = (
        WITH RECURSIVE run (seq) AS (
            SELECT e.through
            UNION ALL
            SELECT x.seq FROM run JOIN tresen.entries x
            ON x.till = e.till AND x.epoch = e.epoch AND x.seq = run.seq + 1
        )
        SELECT max(run.seq) FROM run
    )
    WHERE e.till = who AND e.epoch IN (
        SELECT (entry ->> 'epoch')::bigint FROM jsonb_array_elements(batch -> 'entries') AS entry
    );
    UPDATE tresen.registered SET seen_at = clock_timestamp() WHERE till = who;
    RETURN jsonb_build_object('acks', tresen.acks(who), 'quarantined', quarantined);
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA tresen FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tresen.schema_version(), tresen.hello(jsonb), tresen.hash_at(jsonb), tresen.push(jsonb)
TO tresen_till;

-- The number in an amount such as '12.50 EUR'.
CREATE FUNCTION tresen.number(amount text) RETURNS numeric
LANGUAGE sql IMMUTABLE STRICT
AS $$ SELECT split_part(amount, ' ', 1)::numeric $$;

-- What each till sent and when: its epochs, gaps, what lies in quarantine, and how far its clock is off.
CREATE VIEW tresen.tills AS
SELECT r.till, r.name, r.version, r.login, e.epoch, e.first, e.through,
       coalesce(x.entries, 0) AS entries,
       -- Entries that have arrived behind a gap, and how many are missing before the last of them.
       coalesce(x.last, e.first - 1) - e.first + 1 - coalesce(x.entries, 0) AS missing,
       coalesce(q.quarantined, 0) AS quarantined,
       x.last_at, x.last_received_at, r.seen_at, r.seen_at - r.till_clock AS clock_behind
FROM tresen.registered r
LEFT JOIN tresen.epochs e USING (till)
LEFT JOIN LATERAL (
    SELECT count(*) AS entries, max(x.seq) AS last, max(x.at) AS last_at, max(x.received_at) AS last_received_at
    FROM tresen.entries x WHERE x.till = e.till AND x.epoch = e.epoch
) x ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS quarantined FROM tresen.quarantine q WHERE q.till = e.till AND q.epoch = e.epoch
) q ON true;

-- Closed and voided sales.
CREATE VIEW tresen.tickets AS
SELECT till, epoch, (body #>> '{ticket,number}')::bigint AS number, key AS id, kind AS state,
       tresen.number(body #>> '{ticket,total}') AS total, split_part(body #>> '{ticket,total}', ' ', 2) AS currency,
       (body #>> '{ticket,opened_at}')::timestamptz AS opened_at, at AS closed_at,
       body #>> '{ticket,original}' AS original, body #>> '{opened_by,station}' AS station,
       body #>> '{opened_by,source}' AS source, body #>> '{opened_by,operator}' AS operator,
       body -> 'signing' AS signing, body ->> 'why' AS why, body, received_at
FROM tresen.entries
WHERE kind IN ('closed', 'voided');

-- Their lines.
CREATE VIEW tresen.lines AS
SELECT t.till, t.epoch, t.number, t.id, t.state, l.ordinality AS line, l.line ->> 'name' AS name,
       l.line ->> 'article' AS article, tresen.number(l.line ->> 'total') AS total, l.line AS body
FROM tresen.tickets t, jsonb_array_elements(t.body #> '{ticket,lines}') WITH ORDINALITY AS l (line, ordinality);

-- How they were paid, failed attempts included.
CREATE VIEW tresen.tenders AS
SELECT t.till, t.epoch, t.number, t.id, (p.tender ->> 'attempt')::bigint AS attempt, p.tender ->> 'tender' AS kind,
       p.tender ->> 'operation' AS operation, p.tender ->> 'state' AS state,
       tresen.number(p.tender ->> 'taken') AS taken, p.tender ->> 'key' AS key, p.tender AS body
FROM tresen.tickets t, jsonb_array_elements(t.body -> 'tenders') AS p (tender);

-- Transactions at payment terminals, with their last known outcome.
CREATE VIEW tresen.payments AS
SELECT i.till, i.epoch, i.key AS id, i.body ->> 'terminal' AS terminal, i.body -> 'operation' AS operation,
       tresen.number(i.body ->> 'amount') AS amount, split_part(i.body ->> 'amount', ' ', 2) AS currency,
       i.at AS begun_at, o.kind AS outcome, o.at AS decided_at, o.body, i.station, i.source, i.operator
FROM tresen.entries i
LEFT JOIN LATERAL (
    SELECT o.kind, o.at, o.body FROM tresen.entries o
    WHERE o.till = i.till AND o.key = i.key
      AND o.kind IN ('charged', 'partial', 'not-charged', 'unknown', 'settled')
    ORDER BY o.seq DESC LIMIT 1
) o ON true
WHERE i.kind = 'intent';
