-- The price book of the config, as the collector read it: what v_calls.price_id points to. A price is never changed, a changed
-- one is another id; the book loaded last says which ids are in force (a book without prices is a row without id). server and
-- tool may be patterns. Amounts in nano-dollars; what is smaller than a call may be less than one.
CREATE TABLE IF NOT EXISTS {DB}.prices (
  price_id String,
  server LowCardinality(String),
  tool LowCardinality(String),
  valid_from DateTime64(3, 'UTC'),
  valid_to DateTime64(3, 'UTC'),
  per_call_nano Int64,
  per_input_token_nano Decimal(38, 9),
  per_output_token_nano Decimal(38, 9),
  per_byte_in_nano Decimal(38, 9),
  per_byte_out_nano Decimal(38, 9),
  per_second_nano Decimal(38, 9),
  per_month_nano Int64,
  split_by LowCardinality(String),
  formula String,
  bill_on LowCardinality(String),
  reported UInt8,
  priced UInt8,
  book String,
  loaded_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
) ENGINE = ReplacingMergeTree(loaded_at)
ORDER BY (price_id, book)
{SETTINGS};
