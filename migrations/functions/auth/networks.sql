-- Networks, as people are shown where their credentials are used.

-- The network of an address: of IPv4 the /24, of IPv6 the /64. NULL of NULL.
CREATE OR REPLACE FUNCTION network_of(p_address INET)
RETURNS TEXT
LANGUAGE sql IMMUTABLE
AS $$
    SELECT network(set_masklen(p_address, CASE family(p_address) WHEN 4 THEN 24 ELSE 64 END))::text
$$;
