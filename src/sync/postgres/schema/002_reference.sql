-- Reference tables: rows that tills read and do not interpret, such as articles, customers, staff. Fill
-- `tresen.reference`; each change raises the table's version, and tills fetch it at the start of their next service.

CREATE TABLE tresen.reference_tables (
    name          text PRIMARY KEY,
    version       bigint NOT NULL DEFAULT 1,
    changed_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE tresen.reference (
    name          text NOT NULL REFERENCES tresen.reference_tables (name) ON DELETE CASCADE,
    id            text NOT NULL CHECK (id <> ''),
    -- The version of the table in which the row last changed.
    version       bigint NOT NULL DEFAULT 0,
    body          jsonb NOT NULL,
    PRIMARY KEY (name, id)
);

-- Creates the table of a row, raises its version, and marks the row with it.
CREATE FUNCTION tresen.reference_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    changed text := CASE WHEN TG_OP = 'DELETE' THEN OLD.name ELSE NEW.name END;
    now_at bigint;
BEGIN
    IF TG_OP = 'DELETE' THEN
        UPDATE tresen.reference_tables SET version = version + 1, changed_at = now() WHERE name = changed;
        RETURN OLD;
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.name <> NEW.name THEN
        UPDATE tresen.reference_tables SET version = version + 1, changed_at = now() WHERE name = OLD.name;
    END IF;
    INSERT INTO tresen.reference_tables AS t (name) VALUES (changed)
    ON CONFLICT (name) DO UPDATE SET version = t.version + 1, changed_at = now()
    RETURNING t.version INTO now_at;
    NEW.version := now_at;
    RETURN NEW;
END
$$;
CREATE TRIGGER changed BEFORE INSERT OR UPDATE OR DELETE ON tresen.reference
FOR EACH ROW EXECUTE FUNCTION tresen.reference_changed();

-- {"table", "known"} → null if the table is at the known version, {"missing": true} if there is none, otherwise
-- {"version", "rows": [{"id", "body"}]}
CREATE FUNCTION tresen.reference_rows(request jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce((
        SELECT CASE WHEN t.version = (request ->> 'known')::bigint THEN 'null'::jsonb ELSE jsonb_build_object(
            'version', t.version,
            'rows', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', r.id, 'body', r.body)), '[]')
                     FROM tresen.reference r WHERE r.name = t.name))
        END
        FROM tresen.reference_tables t WHERE t.name = request ->> 'table'
    ), '{"missing": true}')
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA tresen FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tresen.reference_rows(jsonb) TO tresen_till;
