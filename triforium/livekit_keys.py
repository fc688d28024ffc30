"""Keys of LiveKit's configuration that have no effect here, so that its files can be used as they are.

A section's name stands for all below it.
"""

from typing import Final

LIVEKIT_KEYS_WE_LACK: Final = frozenset(
    """
    agents api audio debug_handler ingress key_file log_level
    logging.component_levels logging.pion_level logging.sample metric node_selector node_stats
    prometheus_port psrpc redis region signal_relay sip trace turn video
    webhook.filter_params webhook.resource_url_notifier webhook.url_notifier
    limit.signal_message_size_limit
    room.create_room_attempts room.create_room_timeout
    room.enabled_codecs room.max_metadata_size room.max_room_name_length room.max_participant_identity_length
    room.update_batch_target_size
    rtc.allow_tcp_fallback rtc.allow_udp_unstable_fallback rtc.batch_io
    rtc.congestion_control.use_send_side_bwe rtc.congestion_control.use_send_side_bwe_interceptor rtc.congestion_control.probe_mode
    rtc.congestion_control.min_channel_capacity rtc.congestion_control.disable_estimation_unmanaged_tracks
    rtc.congestion_control.channel_observer_probe_config rtc.congestion_control.channel_observer_non_probe_config
    rtc.congestion_control.probe_config rtc.congestion_control.stream_allocator rtc.congestion_control.remote_bwe
    rtc.congestion_control.send_side_bwe rtc.congestion_control.send_side_bwe_pacer
    rtc.external_ip_only rtc.force_tcp rtc.packet_buffer_size rtc.packet_buffer_size_audio
    rtc.packet_buffer_size_video rtc.pli_throttle rtc.reconnect_on_data_channel_error
    rtc.reconnect_on_publication_error rtc.reconnect_on_subscription_error rtc.strict_acks
    rtc.tcp_fallback_rtt_threshold rtc.tcp_port rtc.turn_servers rtc.use_ice_lite rtc.use_mdns
    """.split()  # noqa: SIM905  # so many names read better in lines
)
