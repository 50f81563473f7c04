"""Logical names on the way in, physical ones on the way out."""

from __future__ import annotations

import pytest

from plumb_backends.real.sql.names import Names
from plumb_backends.sql.result import Column, RawError, RawOk, RawRows

PREFIX = "p0123456789abcdef_"

MAPPED = """
USE §shop
USE `§shop`
SELECT * FROM §shop.orders o, §shop.items i WHERE o.id = i.id
SELECT §shop.orders.id FROM §shop.orders JOIN `§shop`.`items` ON orders.id = items.id
SELECT shop.id, orders.* FROM orders AS shop
SELECT shop.id FROM shop ORDER BY shop.name DESC, shop.id
SELECT id FROM t WHERE x IN (SELECT shop.id FROM §shop.shop)
SELECT * FROM (§shop.a, §shop.b)
SELECT * FROM (SELECT shop.a FROM §shop.b) shop
SELECT EXTRACT(YEAR FROM shop.hired), TRIM(LEADING 'x' FROM shop.name) FROM shop
SELECT TRUNCATE(shop.x, 2), REPLACE(shop.a, 'x', 'y') FROM shop
SELECT §shop.f(shop.x) FROM shop
SELECT CASE WHEN shop.a = 1 THEN 'x' END FROM shop
WITH shop AS (SELECT 1 AS id) SELECT shop.id FROM shop
INSERT INTO §shop.t (a) VALUES (1.5)
INSERT §shop.t VALUES (1)
INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE shop.a = 1
REPLACE INTO §shop.t SELECT shop.c FROM §shop.u shop
UPDATE §shop.t SET t.b = 2 WHERE shop.c = 1
DELETE FROM §shop.t WHERE shop.a = 1
TRUNCATE TABLE §shop.t
TRUNCATE §shop.t
CREATE DATABASE IF NOT EXISTS §shop
DROP DATABASE §shop
ALTER SCHEMA §shop CHARACTER SET utf8mb4
CREATE TABLE §shop.x LIKE §shop.y
CREATE TABLE x (a INT, FOREIGN KEY (a) REFERENCES §shop.y (a))
CREATE VIEW §shop.v AS SELECT shop.a FROM §shop.shop
CREATE INDEX i ON §shop.t (a)
CREATE TRIGGER §shop.tr BEFORE INSERT ON §shop.t FOR EACH ROW SET NEW.a = §shop.f()
DROP TABLE IF EXISTS §shop.a, §shop.b
ALTER TABLE §shop.t RENAME TO §shop.u
RENAME TABLE §shop.a TO §shop.b, §shop.c TO §shop.d
LOCK TABLES §shop.t READ, §shop.u WRITE
CALL §shop.p(1)
GRANT SELECT ON §shop.* TO x
DESCRIBE §shop.t
EXPLAIN SELECT * FROM §shop.t
SHOW TABLES FROM §shop
SHOW TABLE STATUS IN §shop
SHOW FULL COLUMNS FROM t IN §shop
SHOW COLUMNS FROM §shop.t
SHOW INDEX FROM shop FROM §shop
SHOW CREATE TABLE §shop.t
SHOW CREATE DATABASE §shop
/*!40000 DROP DATABASE §shop */
SELECT 'shop.t', "FROM shop.t" -- FROM shop.t
SELECT * FROM mysql.user, INFORMATION_SCHEMA.TABLES
SELECT table_name FROM information_schema.tables WHERE table_schema = '§shop' AND x = 'shops'
SELECT DATABASE() = '§shop'
SHOW DATABASES LIKE '§sh%'
PREPARE s FROM 'SELECT * FROM §shop.t'
SELECT * FROM 2022_data, §2022.data
SELECT
""".strip().splitlines()


def names() -> Names:
    return Names(PREFIX, "shop")


@pytest.mark.parametrize("mapped", MAPPED)
def test_names_in_schema_positions_are_mapped_and_no_others(mapped: str) -> None:
    logical, physical = mapped.replace("§", ""), mapped.replace("§", PREFIX)
    assert names().to_physical(logical.encode()).decode() == physical


@pytest.mark.parametrize("mapped", MAPPED)
def test_what_comes_out_is_what_went_in(mapped: str) -> None:
    logical = mapped.replace("§", "").encode()
    assert names().to_logical(names().to_physical(logical)) == logical


def test_a_database_that_was_made_is_known_in_texts() -> None:
    session = names()
    question = b"SELECT * FROM information_schema.tables WHERE table_schema = 'other'"
    assert session.to_physical(question) == question
    session.to_physical(b"CREATE DATABASE other")
    assert PREFIX.encode() + b"other'" in session.to_physical(question)


def test_without_a_prefix_nothing_is_mapped() -> None:
    assert Names("", "shop").to_physical(b"USE shop") == b"USE shop"
    assert Names("", "shop").physical("shop") == "shop"


def test_results_are_mapped_before_they_are_measured_for_columns() -> None:
    rows = RawRows(
        columns=(Column(name=f"Tables_in_{PREFIX}shop", type_code=253),),
        rows=[(f"{PREFIX}shop".encode(),), (None,), (b"x",)],
        total_rows=3,
    )
    mapped = names().result_to_logical(rows)
    assert isinstance(mapped, RawRows)
    assert mapped.columns[0].name == "Tables_in_shop"
    assert mapped.rows == [(b"shop",), (None,), (b"x",)]
    error = RawError(errno=1146, sqlstate="42S02", message=f"Table '{PREFIX}shop.t' is not there")
    assert names().result_to_logical(error) == RawError(
        errno=1146, sqlstate="42S02", message="Table 'shop.t' is not there"
    )
    assert names().result_to_logical(RawOk()) == RawOk()
