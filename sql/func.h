/* sql/func.h - PostgreSQL's own functions that only read.  Written by
 * test/make_functions.py, which says which; 632 names.
 *
 * function_names holds length byte and name after one another, function_bucket[h]
 * says where those with hash h begin; they end where those of h + 1 begin. */
#ifndef SQL_FUNC_H
#define SQL_FUNC_H

#include <stdint.h>

enum { FUNCTION_BUCKETS = 512 };

static const uint16_t function_bucket[FUNCTION_BUCKETS + 1] = {
	0, 49, 55, 78, 98, 98, 106, 154, 173, 201, 207, 214,
	221, 246, 250, 278, 301, 305, 305, 315, 326, 339, 355, 367,
	367, 394, 394, 410, 470, 470, 502, 518, 532, 564, 621, 656,
	686, 686, 695, 695, 695, 721, 738, 770, 791, 844, 892, 909,
	947, 951, 961, 971, 981, 993, 1024, 1024, 1024, 1024, 1029, 1060,
	1080, 1080, 1096, 1118, 1176, 1181, 1202, 1202, 1234, 1245, 1267, 1271,
	1287, 1296, 1310, 1358, 1381, 1386, 1423, 1438, 1438, 1464, 1464, 1477,
	1527, 1551, 1551, 1576, 1598, 1598, 1637, 1637, 1637, 1655, 1655, 1671,
	1671, 1671, 1671, 1671, 1671, 1671, 1681, 1733, 1738, 1751, 1751, 1770,
	1770, 1770, 1770, 1788, 1792, 1871, 1871, 1881, 1890, 1923, 1923, 1962,
	1962, 1981, 2000, 2020, 2031, 2061, 2065, 2074, 2074, 2101, 2128, 2128,
	2136, 2156, 2156, 2163, 2167, 2200, 2200, 2200, 2208, 2222, 2222, 2272,
	2272, 2296, 2301, 2335, 2335, 2357, 2357, 2378, 2393, 2425, 2425, 2470,
	2470, 2470, 2470, 2485, 2505, 2515, 2515, 2538, 2549, 2611, 2611, 2637,
	2649, 2687, 2687, 2734, 2734, 2734, 2734, 2765, 2765, 2788, 2807, 2807,
	2829, 2866, 2874, 2874, 2909, 2952, 2952, 2952, 2975, 3009, 3036, 3062,
	3062, 3072, 3084, 3094, 3111, 3122, 3149, 3153, 3186, 3209, 3209, 3209,
	3241, 3287, 3287, 3295, 3302, 3322, 3344, 3366, 3383, 3383, 3383, 3418,
	3432, 3474, 3492, 3492, 3502, 3525, 3533, 3543, 3548, 3565, 3574, 3592,
	3597, 3653, 3680, 3714, 3742, 3742, 3742, 3772, 3780, 3827, 3832, 3864,
	3888, 3894, 3903, 3935, 3935, 3960, 3960, 3960, 3960, 3972, 3991, 4029,
	4042, 4042, 4042, 4103, 4110, 4142, 4142, 4163, 4173, 4191, 4201, 4217,
	4217, 4266, 4273, 4284, 4300, 4300, 4300, 4325, 4325, 4338, 4367, 4367,
	4399, 4416, 4454, 4487, 4487, 4513, 4513, 4529, 4539, 4557, 4599, 4604,
	4614, 4636, 4649, 4649, 4665, 4665, 4675, 4675, 4675, 4716, 4726, 4744,
	4761, 4761, 4761, 4791, 4820, 4826, 4838, 4880, 4880, 4890, 4899, 4906,
	4964, 4980, 4993, 5002, 5010, 5024, 5047, 5079, 5099, 5130, 5146, 5175,
	5175, 5175, 5193, 5193, 5203, 5234, 5278, 5325, 5351, 5370, 5395, 5431,
	5469, 5469, 5484, 5490, 5505, 5537, 5545, 5550, 5562, 5583, 5616, 5634,
	5638, 5638, 5667, 5688, 5713, 5730, 5754, 5754, 5766, 5787, 5795, 5803,
	5803, 5803, 5803, 5803, 5803, 5812, 5848, 5868, 5898, 5950, 5994, 5994,
	5994, 6016, 6016, 6060, 6060, 6060, 6091, 6104, 6140, 6155, 6182, 6201,
	6213, 6213, 6228, 6228, 6250, 6276, 6276, 6276, 6285, 6320, 6338, 6346,
	6357, 6377, 6396, 6400, 6400, 6426, 6426, 6434, 6485, 6485, 6493, 6493,
	6493, 6521, 6534, 6563, 6579, 6584, 6597, 6649, 6661, 6678, 6698, 6732,
	6739, 6763, 6793, 6805, 6822, 6845, 6900, 6900, 6900, 6900, 6900, 6915,
	6968, 6986, 6998, 7005, 7018, 7037, 7037, 7048, 7071, 7076, 7076, 7118,
	7138, 7176, 7176, 7206, 7213, 7233, 7255, 7306, 7306, 7306, 7324, 7333,
	7333, 7345, 7345, 7397, 7405, 7465, 7490, 7504, 7504, 7527, 7549, 7565,
	7565, 7582, 7620, 7643, 7649, 7654, 7654, 7654, 7667, 7693, 7697, 7725,
	7725, 7732, 7732, 7732, 7744, 7744, 7758, 7768, 7806, 7814, 7814, 7880,
	7886, 7886, 7904, 7921, 7921, 7940, 7960, 7983, 7983, 8005, 8020, 8031,
	8078, 8128, 8128, 8166, 8200, 8243, 8264, 8281, 8281,
};

static const char function_names[] =
	"\015date_subtract\010hashtext\003log\025pg_ts_dict_is_visible\005slope"
	"\026pg_sequence_parameters\004int8\016to_regoperator\007ts_rank\006encode"
	"\033schema_to_xml_and_xmlschema\014to_timestamp\022pg_describe_object\004asin"
	"\016quote_nullable\007xmltext\005power\006decode\006unnest\017string_to_array"
	"\010var_samp\003avg\033xml_is_well_formed_document\026pg_opfamily_is_visible\003gcd"
	"\011aclremove\003lcm\006texteq\014percent_rank\017pg_wal_lsn_diff\013array_upper"
	"\022jsonb_array_length\007to_date\017pg_get_indexdef\010diagonal"
	"\027json_array_element_text\020json_build_array\011json_each\013cardinality"
	"\023row_security_active\017generate_series\005money\007varchar"
	"\027pg_get_statisticsobjdef\007var_pop\015array_to_json\025pg_get_object_address"
	"\017pg_snapshot_xip\004sqrt\042pg_get_function_identity_arguments\005gamma"
	"\027pg_available_extensions\010date_add\024pg_relation_filenode\004rpad"
	"\020jsonb_exists_all\003div\015make_interval\015to_regtypemod\004date"
	"\017json_object_agg\035json_object_agg_unique_strict\026pg_column_is_updatable"
	"\011jsonb_set\017pg_get_userbyid\025regexp_split_to_table\020jsonb_path_match"
	"\026json_object_agg_unique\016regr_intercept\003xid\011array_cat\011ts_delete"
	"\011regconfig\004cosd\006family\036jsonb_object_agg_unique_strict\004corr"
	"\016current_schema\004left\012to_regrole\023icu_unicode_version\007extract\007regtype"
	"\012array_fill\012trim_array\042has_foreign_data_wrapper_privilege\020json_object_keys"
	"\005point\004cosh\007convert\014regexp_match\007macaddr\021tsvector_to_array\005xpath"
	"\012isparallel\005count\017to_regnamespace\003now\017percentile_disc\010int8_sum"
	"\006pg_lsn\006to_bin\005every\030has_tablespace_privilege\020pg_snapshot_xmax\004area"
	"\021shobj_description\004int4\014array_larger\027jsonb_extract_path_text"
	"\016array_position\014regnamespace\014xpath_exists\014justify_days\017current_setting"
	"\020inet_same_family\020jsonb_object_agg\027pg_ts_parser_is_visible"
	"\030pg_conversion_is_visible\004cbrt\020make_timestamptz\003md5"
	"\035pg_identify_object_as_address\004sind\021txid_snapshot_xip\017jsonb_to_record"
	"\011any_value\020inet_client_port\013numeric_exp\026pg_operator_is_visible\004lead"
	"\014hash_numeric\022pg_get_functiondef\011concat_ws\007set_bit\003tan"
	"\030has_any_column_privilege\030pg_column_toast_chunk_id"
	"\034pg_statistics_obj_is_visible\011nth_value\003abs\004inet\013char_length"
	"\024uuid_extract_version\013timestamptz\032xml_is_well_formed_content"
	"\022table_to_xmlschema\022jsonb_build_object\023jsonb_path_query_tz\012acldefault"
	"\007get_bit\004mode\010numrange\007regr_r2\003sin\010timezone\014array_length"
	"\015array_prepend\005dlog1\004erfc\005jsonb\011substring\007netmask"
	"\023range_intersect_agg\006xmlagg\003erf\024has_server_privilege\013regexp_like"
	"\007radians\015justify_hours\013first_value\016pg_column_size\013starts_with"
	"\012to_tsquery\007numeric\017to_regprocedure\004host\012array_dims"
	"\026has_sequence_privilege\025regexp_split_to_array\017current_schemas\004int2"
	"\016tstzmultirange\006float8\030satisfies_hash_partition\024jsonb_path_exists_tz"
	"\027pg_collation_is_visible\016datemultirange\012hash_array\010hashint4\011lower_inf"
	"\026pg_encoding_max_length\012last_value\016int8multirange\024pg_get_constraintdef"
	"\031pg_get_publication_tables\031pg_extension_update_paths\013numeric_inc\006circle"
	"\036pg_get_partition_constraintdef\012pg_get_acl\023pg_options_to_table"
	"\017plainto_tsquery\006bpchar\020jsonb_path_query\006sha384\026json_object_agg_strict"
	"\022jsonb_to_recordset\025pg_column_compression\016arraycontained\013pg_has_role"
	"\011range_agg\007masklen\014jsonb_pretty\025pg_split_walfile_name\012enum_first"
	"\006lgamma\030pg_postmaster_start_time\003max\005trunc\014tsmultirange\012aclexplode"
	"\021json_build_object\004rank\023schema_to_xmlschema\006to_oct\010hostmask"
	"\020jsonb_exists_any\011regr_avgy\013parse_ident\011bit_count\020inet_server_addr"
	"\012inet_merge\010bool_and\021jsonb_object_keys\003xml\004atan\020justify_interval"
	"\012split_part\026has_database_privilege\015array_smaller\013row_to_json\005upper"
	"\010date_bin\012isvertical\012multirange\016pg_get_viewdef\004cotd\002ln\006format"
	"\006dround\014regexp_instr\005atan2\004like\012texticlike\017array_positions\005log10"
	"\020phraseto_tsquery\013format_type\007initcap\016pg_get_ruledef\015array_reverse"
	"\011array_agg\012covar_samp\003min\013stddev_samp\004time\021pg_get_triggerdef"
	"\011translate\011make_date\014regcollation\007network\011ts_filter\004name"
	"\020unicode_assigned\010regr_syy\021json_array_length\004dexp\015array_replace"
	"\015jsonb_set_lax\033pg_get_catalog_foreign_keys\032pg_relation_is_publishable"
	"\017array_to_string\003pow\005scale\007version\014current_user\016pg_backend_pid"
	"\025database_to_xmlschema\007tsquery\007bit_and\004ceil\027jsonb_object_agg_unique"
	"\021jsonb_strip_nulls\004sinh\037pg_available_extension_versions"
	"\027jsonb_object_agg_strict\005btrim\010regclass\023pg_table_is_visible\013regoperator"
	"\003box\024has_column_privilege\006sha512\004tanh\012cash_words\007regrole\003bit"
	"\005floor\022jsonb_extract_path\010mxid_age\005asinh\006isperp\016int4multirange"
	"\024pg_relation_filepath\015quote_literal\012to_regproc\006height\014session_user"
	"\022txid_snapshot_xmax\005crc32\016regexp_matches\011broadcast\013aclcontains\005popen"
	"\011factorial\005right\011tstzrange\006center\026has_function_privilege"
	"\022has_type_privilege\006radius\012enum_range\010macaddr8\006stddev"
	"\030jsonb_array_element_text\014array_remove\003cos\030json_array_elements_text"
	"\020hashtextextended\016regexp_replace\020pg_snapshot_xmin"
	"\033jsonb_populate_record_valid\011normalize\012trim_scale\025txid_current_snapshot"
	"\004sign\012to_regtype\011upper_inc\017pg_get_keywords\011jsonb_agg"
	"\021json_object_field\003mod\023pg_char_to_encoding\021pg_input_is_valid\004acos"
	"\011date_part\017col_description\005ntile\014jsonb_typeof\017json_agg_strict"
	"\011make_time\022jsonb_object_field\025jsonb_populate_record\011setweight"
	"\021jsonb_delete_path\020current_database\006sha256\026uuid_extract_timestamp"
	"\007isempty\024websearch_to_tsquery\005round\013xmlvalidate\015regexp_substr"
	"\010ts_parse\022xml_is_well_formed\011enum_last\010json_agg\006booleq"
	"\026json_object_field_text\026pg_get_function_result\013ts_headline\017percentile_cont"
	"\014jsonb_object\010casefold\007bool_or\015is_normalized\017jsonb_contained\006pclose"
	"\017obj_description\017tsvector_concat\023has_table_privilege\011daterange"
	"\015nummultirange\006strpos\017database_to_xml\006atan2d\025pg_index_has_property"
	"\010jsonpath\010position\011upper_inf\005ascii\030pg_relation_is_updatable"
	"\013hash_record\037pg_get_statisticsobjdef_columns\023generate_subscripts"
	"\032table_to_xml_and_xmlschema\031pg_get_function_arguments\004cidr\015regdictionary"
	"\011int4range\016make_timestamp\043pg_get_statisticsobjdef_expressions\011min_scale"
	"\033pg_get_function_arg_default\004char\011pg_typeof\005atanh\005acosd\010hashint8"
	"\014convert_from\022pg_identify_object\007reverse\004lpad\013quote_ident"
	"\024has_schema_privilege\007tsrange\030txid_visible_in_snapshot\021pg_conf_load_time"
	"\003lag\020json_strip_nulls\013ts_match_vq\015arraycontains\006bit_or"
	"\030jsonb_populate_recordset\020character_length\027pg_indexam_has_property"
	"\013pg_basetype\010isfinite\013numeric_abs\007ceiling\007overlay\010to_ascii"
	"\020inet_client_addr\022pg_client_encoding\012jsonb_each\010variance\011regr_avgx"
	"\023statement_timestamp\023jsonb_array_element\026jsonb_path_query_array\010to_jsonb"
	"\023json_array_elements\027json_populate_recordset\014ishorizontal\010regr_sxx"
	"\025pg_settings_get_flags\025transaction_timestamp\023getdatabaseencoding"
	"\012ts_rank_cd\014jsonb_concat\027jsonb_object_field_text\013makeaclitem"
	"\016json_to_record\010isclosed\021jsonb_to_tsvector\022txid_snapshot_xmin"
	"\013numeric_log\016oidvectortypes\013like_escape\011lower_inc\003cot\012numeric_ln"
	"\012regr_slope\010regr_sxy\024json_populate_record\015pg_size_bytes"
	"\021pg_get_partkeydef\007numnode\012to_regoper\023pg_input_error_info"
	"\022pg_type_is_visible\003exp\031jsonb_array_elements_text\007textcat"
	"\026json_extract_path_text\021jsonb_path_exists\011ts_lexize\007polygon"
	"\025pg_opclass_is_visible\005width\014octet_length\034pg_index_column_has_property"
	"\003oid\013to_tsvector\004tand\014regexp_count\010get_byte\016json_each_text"
	"\016jsonb_contains\014regprocedure\013set_masklen\011timestamp\006varbit"
	"\014array_append\006substr\012array_sort\026has_language_privilege\006unistr"
	"\027pg_ts_config_is_visible\010interval\024pg_filenode_relation\013array_ndims"
	"\005acosh\005lower\004lseg\026pg_visible_in_snapshot\004bool\020jsonb_agg_strict"
	"\026jsonb_path_query_first\011querytree\016pg_size_pretty"
	"\035database_to_xml_and_xmlschema\007npoints\016similar_escape\021numeric_div_trunc"
	"\004path\006repeat\006concat\014arrayoverlap\006dlog10\013range_merge\012row_number"
	"\011aclinsert\014jsonb_exists\004uuid\007degrees\024jsonb_array_elements"
	"\014jsonb_insert\012convert_to\010set_byte\006float4\011int8range\021json_to_recordset"
	"\002pi\035pg_get_replica_identity_index\006dtrunc\023pg_encoding_to_char"
	"\014numeric_sqrt\010overlaps\007bit_xor\031jsonb_path_query_array_tz"
	"\020macaddr8_set7bit\012date_trunc\006length\010tsvector\013to_regclass"
	"\031has_largeobject_privilege\013pg_get_expr\005strip\007to_char\007int4inc"
	"\012bit_length\027pg_get_function_sqlbody\021pg_partition_root\006to_hex\006isopen"
	"\021similar_to_escape\015nameconcatoid\014table_to_xml\011to_number\011covar_pop"
	"\013json_typeof\017jsonb_each_text\007regoper\010ts_debug\011cume_dist\010diameter"
	"\007regproc\012xmlcomment\014num_nonnulls\011num_nulls\005asind\004text"
	"\014width_bucket\031jsonb_path_query_first_tz\003age\012dense_rank\020json_to_tsvector"
	"\006timetz\013json_object\015getpgusername\005atand\003sum\027has_parameter_privilege"
	"\015ts_token_type\007to_json\021jsonb_build_array\023jsonb_path_match_tz"
	"\023pg_current_snapshot\007textlen\005bytea\021array_to_tsvector\020pg_collation_for"
	"\022json_array_element\003chr\017unicode_version\020inet_server_port\005ltrim\005rtrim"
	"\017string_to_table\006abbrev\007notlike\012stddev_pop\013array_lower"
	"\025get_current_ts_config\014jsonb_delete\026pg_get_serial_sequence\012string_agg"
	"\017to_regcollation\026pg_function_is_visible\016tsquery_phrase"
	"\031pg_ts_template_is_visible\007replace\021json_extract_path\004line\012regr_count"
	"\010textlike\006crc32c\015schema_to_xml\006sha224\011xmlexists";

#endif
