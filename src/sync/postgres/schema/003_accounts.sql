-- Customers' accounts. An example that works as it is: a shop that keeps balances elsewhere replaces the functions
-- below by its own, with the same names, arguments and answers.
--
-- A booking is {"till", "key", "account", "amount": "12.50 EUR"}; till and key identify it, and asking again has no
-- further effect. A negative amount credits the account. Another account or amount under a key that is known is refused.

CREATE TABLE tresen.accounts (
    account       text PRIMARY KEY,
    balance       numeric NOT NULL,
    currency      text NOT NULL DEFAULT 'EUR',
    -- How far the balance may go below zero.
    credit        numeric NOT NULL DEFAULT 0 CHECK (credit >= 0)
);

CREATE TABLE tresen.bookings (
    till          text NOT NULL,
    key           text NOT NULL,
    account       text NOT NULL,
    amount        numeric NOT NULL,
    currency      text NOT NULL,
    state         text NOT NULL CHECK (state IN ('reserved', 'booked', 'released', 'unbooked')),
    why           text,
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (till, key)
);
CREATE INDEX bookings_account ON tresen.bookings (account) WHERE state = 'reserved';

-- Bookings whose key stands for another account or amount.
CREATE TABLE tresen.disputed_bookings (
    till          text NOT NULL,
    key           text NOT NULL,
    account       text NOT NULL,
    amount        numeric NOT NULL,
    currency      text NOT NULL,
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (till, key, account, amount, currency)
);

-- What was taken in local mode and did not fit the balance, or could not be booked under its key: for a person to settle
-- with the customer.
CREATE VIEW tresen.unbooked AS
SELECT b.*, a.balance
FROM (
    SELECT till, key, account, amount, currency, why, at FROM tresen.bookings WHERE state = 'unbooked'
    UNION ALL
    SELECT till, key, account, amount, currency, 'its key stands for another booking', at FROM tresen.disputed_bookings
) b LEFT JOIN tresen.accounts a USING (account);

-- The balance less what is reserved.
CREATE FUNCTION tresen.available(of text) RETURNS numeric
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.balance - coalesce((
        SELECT sum(b.amount) FROM tresen.bookings b WHERE b.account = a.account AND b.state = 'reserved'), 0)
    FROM tresen.accounts a WHERE a.account = of
$$;

-- → [{"account", "amount"}]
CREATE FUNCTION tresen.balances(request jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object(
        'account', account,
        'amount', trim_scale(tresen.available(account) + credit)::text || ' ' || currency)), '[]')
    FROM tresen.accounts
$$;

-- Locks the account and says why an amount cannot be taken from it, or null.
CREATE FUNCTION tresen.refusal(booking jsonb) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    a tresen.accounts%ROWTYPE;
    amount numeric := split_part(booking ->> 'amount', ' ', 1)::numeric;
BEGIN
    SELECT * INTO a FROM tresen.accounts WHERE account = booking ->> 'account' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN format('there is no account `%s`', booking ->> 'account');
    ELSIF a.currency <> split_part(booking ->> 'amount', ' ', 2) THEN
        RETURN format('account `%s` is in %s', a.account, a.currency);
    ELSIF amount > 0 AND amount > tresen.available(a.account) + a.credit THEN
        RETURN format('the balance is %s %s', trim_scale(tresen.available(a.account) + a.credit), a.currency);
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION tresen.set_booking(booking jsonb, to_state text, because text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO tresen.bookings (till, key, account, amount, currency, state, why)
    VALUES (booking ->> 'till', booking ->> 'key', booking ->> 'account',
            split_part(booking ->> 'amount', ' ', 1)::numeric, split_part(booking ->> 'amount', ' ', 2),
            to_state, because)
    ON CONFLICT (till, key) DO UPDATE SET state = to_state, why = because, changed_at = clock_timestamp()
$$;

-- The state of a booking, with one caller per key at a time; 'another' if its key stands for another account or amount.
CREATE FUNCTION tresen.booking_state(booking jsonb) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM tresen.check_login(booking ->> 'till');
    PERFORM pg_advisory_xact_lock(hashtextextended((booking ->> 'till') || '/' || (booking ->> 'key'), 0));
    RETURN (
        SELECT CASE
            WHEN b.account = booking ->> 'account' AND b.amount = split_part(booking ->> 'amount', ' ', 1)::numeric
                AND b.currency = split_part(booking ->> 'amount', ' ', 2) THEN b.state
            ELSE 'another'
        END
        FROM tresen.bookings b WHERE b.till = booking ->> 'till' AND b.key = booking ->> 'key');
END
$$;

-- → {"balance", "refused"}
CREATE FUNCTION tresen.reserve(booking jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state text := tresen.booking_state(booking);
    why text;
BEGIN
    IF state = 'released' THEN
        why := 'it was released before';
    ELSIF state = 'another' THEN
        why := 'its key stands for another booking';
    ELSIF state IS NULL THEN
        why := tresen.refusal(booking);
        IF why IS NULL THEN
            PERFORM tresen.set_booking(booking, 'reserved', NULL);
        END IF;
    END IF;
    RETURN jsonb_build_object('refused', why, 'balance', (
        SELECT trim_scale(tresen.available(a.account) + a.credit)::text || ' ' || a.currency
        FROM tresen.accounts a WHERE a.account = booking ->> 'account'));
END
$$;

-- → whether it is reserved or booked; if not, it is released: a request that arrives later is refused
CREATE FUNCTION tresen.decide(booking jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state text := tresen.booking_state(booking);
BEGIN
    IF state IS NULL THEN
        PERFORM tresen.set_booking(booking, 'released', NULL);
    END IF;
    RETURN to_jsonb(coalesce(state, 'released') NOT IN ('released', 'another'));
END
$$;

-- → "booked" or {"unbooked": {"why"}}
CREATE FUNCTION tresen.book(booking jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state text := tresen.booking_state(booking);
    why text;
BEGIN
    IF state = 'booked' THEN
        RETURN '"booked"';
    ELSIF state = 'another' THEN
        INSERT INTO tresen.disputed_bookings (till, key, account, amount, currency)
        VALUES (booking ->> 'till', booking ->> 'key', booking ->> 'account',
                split_part(booking ->> 'amount', ' ', 1)::numeric, split_part(booking ->> 'amount', ' ', 2))
        ON CONFLICT DO NOTHING;
        RETURN jsonb_build_object('unbooked', jsonb_build_object('why', 'its key stands for another booking'));
    ELSIF state = 'released' THEN
        why := 'it was released before';
    ELSIF state IS NULL OR state = 'unbooked' THEN
        why := tresen.refusal(booking);
    END IF;
    IF why IS NOT NULL THEN
        PERFORM tresen.set_booking(booking, 'unbooked', why);
        RETURN jsonb_build_object('unbooked', jsonb_build_object('why', why));
    END IF;
    PERFORM tresen.set_booking(booking, 'booked', NULL);
    UPDATE tresen.accounts SET balance = balance - split_part(booking ->> 'amount', ' ', 1)::numeric
    WHERE account = booking ->> 'account';
    RETURN '"booked"';
END
$$;

-- → true
CREATE FUNCTION tresen.release(booking jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF coalesce(tresen.booking_state(booking), 'reserved') NOT IN ('booked', 'another') THEN
        PERFORM tresen.set_booking(booking, 'released', NULL);
    END IF;
    RETURN 'true';
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA tresen FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tresen.balances(jsonb), tresen.reserve(jsonb), tresen.decide(jsonb), tresen.book(jsonb),
    tresen.release(jsonb) TO tresen_till;
