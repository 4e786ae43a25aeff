"""Documented columns of vendors' tables and what a data engineer expects of each, by its name alone.

Expected: ``identifier:<type>``, ``ignored``, ``event_time`` (a candidate), ``bare_id`` (the table decides),
``non_additive`` (its numbers must never be summed) or ``value`` (metric or attribute, its values decide).
"""

from __future__ import annotations


def _table(**columns: str) -> dict[str, str]:
    """Column to expectation, from expectation to columns (``__`` stands for the colon)."""
    return {
        column.strip(): expected.replace("__", ":")
        for expected, listed in columns.items()
        for column in listed.split("|")
    }


VENDOR_EXPORTS: dict[str, dict[str, str]] = {
    "salesforce_contact": _table(
        bare_id="Id",
        identifier__email="Email",
        identifier__phone="Phone|MobilePhone|HomePhone|OtherPhone",
        identifier__individual_id="IndividualId",
        identifier__jigsaw_contact_id="JigsawContactId",
        ignored="AccountId|MasterRecordId|OwnerId|CreatedById|LastModifiedById|ReportsToId|AssistantPhone"
        "|ConnectionReceivedId|ActionCadenceId|ActionCadenceAssigneeId",
        event_time="CreatedDate|LastModifiedDate|SystemModstamp|LastActivityDate",
        non_additive="Birthdate|Fax|MailingPostalCode|OtherPostalCode|MailingLatitude|MailingLongitude"
        "|OtherLatitude|OtherLongitude|EmailBouncedDate|LastCURequestDate|LastCUUpdateDate|LastViewedDate"
        "|LastReferencedDate|CleanStatus",
        value="IsDeleted|LastName|FirstName|Salutation|Name|MailingStreet|MailingCity|MailingState"
        "|MailingCountry|OtherStreet|OtherCity|OtherState|OtherCountry|AssistantName|Title|Department"
        "|LeadSource|Description|HasOptedOutOfEmail|HasOptedOutOfFax|DoNotCall|EmailBouncedReason"
        "|IsEmailBounced|PhotoUrl|Jigsaw|MailingGeocodeAccuracy|ActiveTrackerCount",
    ),
    "salesforce_lead": _table(
        bare_id="Id",
        identifier__email="Email",
        identifier__phone="Phone|MobilePhone",
        identifier__converted_contact_id="ConvertedContactId",
        identifier__individual_id="IndividualId",
        ignored="MasterRecordId|OwnerId|ConvertedAccountId|ConvertedOpportunityId|CreatedById"
        "|LastModifiedById"
        "|CompanyDunsNumber|DandbCompanyId",
        event_time="CreatedDate|LastModifiedDate|SystemModstamp|LastActivityDate",
        non_additive="PostalCode|Latitude|Longitude|Fax|Status|Rating|ConvertedDate|LastViewedDate"
        "|LastReferencedDate|EmailBouncedDate|FirstCallDateTime|FirstEmailDateTime",
        value="IsDeleted|LastName|FirstName|Salutation|Name|Title|Company|Street|City|State|Country|Website"
        "|PhotoUrl|Description|LeadSource|Industry|AnnualRevenue|NumberOfEmployees|HasOptedOutOfEmail"
        "|IsConverted|IsUnreadByOwner|Jigsaw|EmailBouncedReason|DoNotCall",
    ),
    "salesforce_case": _table(
        bare_id="Id",
        identifier__contact_id="ContactId",
        identifier__email="SuppliedEmail|ContactEmail",
        identifier__phone="SuppliedPhone|ContactPhone|ContactMobile",
        ignored="CaseNumber|AccountId|AssetId|ProductId|EntitlementId|SourceId|BusinessHoursId"
        "|ParentId|OwnerId"
        "|CreatedById|LastModifiedById|MasterRecordId|QuestionId|CommunityId",
        event_time="CreatedDate|LastModifiedDate|SystemModstamp",
        non_additive="ContactFax|Type|Status|Priority|ClosedDate|SlaStartDate|SlaExitDate|StopStartDate"
        "|LastViewedDate|LastReferencedDate",
        value="IsDeleted|SuppliedName|SuppliedCompany|Reason|Origin|Subject|Description|IsClosed|IsEscalated"
        "|IsStopped|Comments|Language|IsClosedOnCreate",
    ),
    "salesforce_opportunity": _table(
        bare_id="Id",
        identifier__contact_id="ContactId",
        ignored="AccountId|CampaignId|Pricebook2Id|OwnerId|CreatedById|LastModifiedById|ContractId"
        "|SyncedQuoteId|RecordTypeId|PartnerAccountId|LastAmountChangedHistoryId|ConnectionSentId",
        event_time="CreatedDate|LastModifiedDate|SystemModstamp|LastActivityDate",
        non_additive="Probability|CloseDate|Type|ForecastCategory|FiscalQuarter|FiscalYear|IqScore|NextStep"
        "|LastViewedDate|LastReferencedDate|LastStageChangeDate|CurrencyIsoCode",
        value="IsDeleted|IsPrivate|Name|Description|StageName|Amount|ExpectedRevenue|TotalOpportunityQuantity"
        "|LeadSource|IsClosed|IsWon|ForecastCategoryName|Fiscal|HasOpportunityLineItem|PushCount"
        "|LastStageChangeInDays",
    ),
    "hubspot_contacts_internal": _table(
        bare_id="hs_object_id",
        identifier__vid="vid",
        identifier__email="email|work_email",
        identifier__phone="phone|mobilephone|hs_whatsapp_phone_number|hs_searchable_calculated_phone_number"
        "|hs_calculated_phone_number|hs_calculated_mobile_number",
        ignored="associatedcompanyid|hubspot_owner_id|hubspot_team_id|hs_all_owner_ids|hs_created_by_user_id"
        "|hs_updated_by_user_id|hs_merged_object_ids|hs_object_source_id",
        event_time="createdate|lastmodifieddate",
        non_additive="fax|zip|lifecyclestage|hs_lead_status|hs_marketable_status|closedate|hubspotscore"
        "|hs_email_last_open_date|hs_email_first_send_date|hs_analytics_first_timestamp"
        "|hs_analytics_last_timestamp|hs_analytics_average_page_views|hs_calculated_phone_number_country_code"
        "|hs_predictivecontactscore_v2_score|first_deal_created_date|recent_conversion_date|date_of_birth"
        "|hs_lifecyclestage_customer_date|days_since_last_activity|hs_timezone_offset",
        value="firstname|lastname|salutation|company|jobtitle|address|city|state|country|website"
        "|hs_email_optout|hs_email_domain|hs_email_open|hs_email_click|hs_email_delivered|hs_email_bounce"
        "|hs_email_hard_bounce_reason|hs_additional_emails|hs_analytics_source|hs_analytics_num_visits"
        "|hs_analytics_num_page_views|hs_analytics_revenue|num_conversion_events|num_notes"
        "|num_contacted_notes"
        "|num_associated_deals|recent_deal_amount|total_revenue|annualrevenue|numberemployees|days_to_close"
        "|notes_last_contacted|notes_last_updated|hs_persona|hs_legal_basis|industry",
    ),
    "hubspot_contacts_export": _table(
        bare_id="Record ID",
        identifier__email="Email|Work email",
        identifier__phone="Phone Number|Mobile Phone Number|WhatsApp Phone Number",
        ignored="Associated Company IDs|Created by user ID|Updated by user ID",
        event_time="Create Date|Last Modified Date|Last Activity Date|Time Last Seen",
        non_additive="Fax Number|Postal Code|Lifecycle Stage|Lead Status|Marketing contact status"
        "|HubSpot Score"
        "|Close Date|Became a Customer Date|Recent Conversion Date|First Deal Created Date"
        "|Owner Assigned Date"
        "|Average Pageviews|Next Activity Date|Date of birth|Time Zone|Last marketing email open date",
        value="First Name|Last Name|Contact owner|Associated Company|Company Name|Job Title"
        "|Street Address|City"
        "|State/Region|Country/Region|Website URL|Original Source|Number of Pageviews|Number of Sessions"
        "|Number of Form Submissions|Number of times contacted|Number of Associated Deals|Time First Seen"
        "|Days To Close|Total Revenue|Recent Deal Amount|Unsubscribed from all email|Email Domain"
        "|Marketing emails opened|Last marketing email name|Preferred language",
    ),
    "stripe_customers": _table(
        bare_id="id",
        identifier__email="email",
        identifier__phone="phone|shipping.phone",
        event_time="created",
        non_additive="address.postal_code|shipping.address.postal_code|next_invoice_sequence",
        value="object|address.city|address.country|address.line1|address.line2|address.state|balance|currency"
        "|default_source|delinquent|description|discount|invoice_prefix|livemode|name|shipping.name"
        "|shipping.address.city|shipping.address.country|tax_exempt|test_clock|cash_balance"
        "|invoice_settings.default_payment_method|invoice_settings.footer",
    ),
    "stripe_customers_export": _table(
        bare_id="id",
        identifier__email="Email",
        ignored="Card ID|Business Vat ID",
        event_time="Created (UTC)",
        non_additive="Card Last4|Card Exp Month|Card Exp Year|Card Address Zip|Card CVC Status"
        "|Card AVS Zip Status"
        "|Card AVS Line1 Status|Status|Average Order|Cancel At Period End",
        value="Description|Name|Delinquent|Currency|Card Brand|Card Funding|Card Name|Card Address Line1"
        "|Card Address Line2|Card Address City|Card Address State|Card Address Country|Card Issue Country"
        "|Card Fingerprint|Card Tokenization Method|Default Source|Plan|Account Balance"
        "|Total Spend|Payment Count|Refunded Volume|Dispute Losses",
    ),
    "stripe_charges": _table(
        bare_id="id",
        identifier__customer_id="customer",
        identifier__email="billing_details.email|receipt_email",
        identifier__phone="billing_details.phone",
        ignored="balance_transaction|failure_balance_transaction|payment_intent|receipt_number",
        event_time="created",
        non_additive="billing_details.address.postal_code|failure_code|outcome.network_status"
        "|outcome.risk_level"
        "|outcome.risk_score|outcome.type|status|payment_method_details.card.last4"
        "|payment_method_details.card.exp_month|payment_method_details.card.exp_year"
        "|payment_method_details.type",
        value="object|amount|amount_captured|amount_refunded|application|application_fee"
        "|application_fee_amount"
        "|billing_details.address.city|billing_details.address.country|billing_details.name"
        "|calculated_statement_descriptor|captured|currency|description|destination|dispute|disputed"
        "|failure_message|invoice|livemode|on_behalf_of|order|outcome.reason|outcome.seller_message|paid"
        "|payment_method|payment_method_details.card.brand|payment_method_details.card.fingerprint"
        "|receipt_url"
        "|refunded|review|source_transfer|statement_descriptor|transfer_group",
    ),
    "stripe_invoices": _table(
        bare_id="id",
        identifier__customer_id="customer",
        identifier__email="customer_email",
        identifier__phone="customer_phone",
        ignored="payment_intent|receipt_number",
        event_time="created",
        non_additive="number|customer_address.postal_code|due_date|next_payment_attempt"
        "|period_start|period_end"
        "|status|tax_percent|webhooks_delivered_at|effective_at",
        value="object|account_country|account_name|amount_due|amount_paid|amount_remaining|amount_shipping"
        "|attempt_count|attempted|auto_advance|billing_reason|charge|collection_method|currency|customer_name"
        "|customer_tax_exempt|default_payment_method|description|ending_balance|hosted_invoice_url"
        "|invoice_pdf"
        "|livemode|paid|paid_out_of_band|starting_balance|subscription|subtotal|tax|total"
        "|total_excluding_tax|quote|post_payment_credit_notes_amount",
    ),
    "stripe_payments_export": _table(
        bare_id="id",
        identifier__customer_id="Customer ID",
        identifier__email="Customer Email",
        ignored="Card ID|Invoice ID|PaymentIntent ID",
        event_time="Created (UTC)",
        non_additive="Status|Card Last4|Card Exp Month|Card Exp Year|Card Address Zip|Card CVC Status"
        "|Card AVS Zip Status|Card AVS Line1 Status|Dispute Status|Payment Source Type",
        value="Description|Seller Message|Amount|Amount Refunded|Currency|Converted Amount"
        "|Converted Amount Refunded|Fee|Tax|Converted Currency|Mode|Statement Descriptor|Customer Description"
        "|Captured|Card Brand|Card Funding|Card Name|Card Address City|Card Address State"
        "|Card Address Country"
        "|Card Issue Country|Card Fingerprint|Card Tokenization Method|Disputed Amount|Dispute Reason"
        "|Dispute Evidence Due (UTC)|Destination|Transfer|Interchange Costs|Merchant Service Charge"
        "|Transfer Group",
    ),
    "shopify_customers": _table(
        bare_id="id",
        identifier__email="email",
        identifier__phone="phone|default_address.phone",
        # default_address.customer_id repeats the customer's own id under a longer name
        identifier__default_address_customer_id="default_address.customer_id",
        ignored="last_order_id|default_address.id|admin_graphql_api_id|multipass_identifier",
        event_time="created_at|updated_at",
        non_additive="default_address.zip|default_address.province_code|default_address.country_code"
        "|accepts_marketing_updated_at|marketing_opt_in_level|email_marketing_consent.opt_in_level"
        "|email_marketing_consent.consent_updated_at",
        value="accepts_marketing|first_name|last_name|orders_count|state|total_spent|note|verified_email"
        "|tax_exempt|tags|last_order_name|currency|email_marketing_consent.state|default_address.first_name"
        "|default_address.last_name|default_address.company|default_address.address1|default_address.address2"
        "|default_address.city|default_address.province|default_address.country|default_address.country_name",
    ),
    "shopify_orders": _table(
        bare_id="id",
        identifier__customer_id="customer.id",
        identifier__email="email|contact_email|customer.email",
        identifier__phone="phone|customer.phone|billing_address.phone|shipping_address.phone",
        # By the documentation the staff member and the till of a point-of-sale order. No name shows that:
        # one value with thousands of customers does.
        identifier__user_id="user_id",
        identifier__device_id="device_id",
        ignored="admin_graphql_api_id|app_id|checkout_id|location_id|order_number|cart_token"
        "|checkout_token|token"
        "|source_identifier|customer.last_order_id|merchant_of_record_app_id",
        event_time="created_at|processed_at|updated_at|customer.created_at|customer.updated_at",
        non_additive="number|reference|landing_site_ref|cancelled_at|closed_at|financial_status"
        "|fulfillment_status|billing_address.zip|billing_address.latitude|billing_address.longitude"
        "|billing_address.country_code|shipping_address.zip|shipping_address.latitude",
        value="browser_ip|buyer_accepts_marketing|cancel_reason|confirmed|currency|current_subtotal_price"
        "|current_total_discounts|current_total_price|current_total_tax|customer_locale"
        "|estimated_taxes|gateway"
        "|landing_site|name|note|order_status_url|presentment_currency|processing_method|referring_site"
        "|source_name|source_url|subtotal_price|tags|taxes_included|test|total_discounts"
        "|total_line_items_price"
        "|total_outstanding|total_price|total_price_usd|total_tax|total_tip_received|total_weight"
        "|billing_address.name|billing_address.city|customer.verified_email|customer.orders_count"
        "|customer.total_spent",
    ),
    "shopify_customers_export": _table(
        identifier__customer_id="Customer ID",
        identifier__email="Email",
        identifier__phone="Phone|Default Address Phone",
        non_additive="Default Address Zip|Default Address Province Code|Default Address Country Code",
        value="First Name|Last Name|Accepts Email Marketing|Accepts SMS Marketing|Default Address Company"
        "|Default Address Address1|Default Address Address2|Default Address City|Total Spent"
        "|Total Orders|Tags"
        "|Note|Tax Exempt",
    ),
    "shopify_orders_export": _table(
        bare_id="Id",
        identifier__email="Email",
        identifier__phone="Phone|Billing Phone|Shipping Phone",
        identifier__device_id="Device ID",
        ignored="Lineitem sku|Receipt Number|Payment ID",
        event_time="Created at|Paid at",
        non_additive="Financial Status|Fulfillment Status|Fulfilled at|Cancelled at|Lineitem compare at price"
        "|Lineitem fulfillment status|Discount Code|Billing Zip|Shipping Zip|Payment Reference|Risk Level"
        "|Next Payment Due At",
        value="Name|Accepts Marketing|Currency|Subtotal|Shipping|Taxes|Total|Discount Amount|Shipping Method"
        "|Lineitem quantity|Lineitem name|Lineitem price|Lineitem requires shipping|Lineitem taxable"
        "|Billing Name|Billing Street|Billing Address1|Billing Address2|Billing Company|Billing City"
        "|Billing Province|Billing Country|Shipping Name|Shipping Street|Shipping Company|Shipping City"
        "|Notes|Note Attributes|Payment Method|Refunded Amount|Vendor|Outstanding Balance|Employee|Location"
        "|Tags|Source|Lineitem discount|Tax 1 Name|Tax 1 Value|Duties|Payment Terms Name",
    ),
    "zendesk_users": _table(
        bare_id="id|external_id",
        identifier__email="email",
        identifier__phone="phone",
        ignored="organization_id|locale_id|custom_role_id|default_group_id",
        event_time="created_at|updated_at|last_login_at",
        non_additive="time_zone|iana_time_zone|role_type|shared_phone_number",
        value="url|name|role|verified|active|shared|shared_agent|alias|signature|details"
        "|notes|locale|tags|moderator|suspended|restricted_agent|ticket_restriction|only_private_comments"
        "|two_factor_auth_enabled|chat_only|report_csv|photo.content_url",
    ),
    "zendesk_tickets": _table(
        bare_id="id|external_id",
        identifier__requester_id="requester_id",
        ignored="submitter_id|assignee_id|organization_id|group_id|brand_id|ticket_form_id|forum_topic_id"
        "|problem_id|custom_status_id|collaborator_ids|follower_ids|email_cc_ids|sharing_agreement_ids"
        "|followup_ids|macro_ids",
        event_time="created_at|updated_at",
        non_additive="type|status|priority|due_at|satisfaction_rating|satisfaction_rating.score"
        "|satisfaction_probability|metric_set.assigned_at|metric_set.solved_at",
        value="url|subject|raw_subject|description|recipient|has_incidents|is_public|tags|via.channel"
        "|allow_channelback|allow_attachments|encoded|metric_set.reopens|metric_set.replies"
        "|metric_set.reply_time_in_minutes|metric_set.full_resolution_time_in_minutes",
    ),
    "ga4_events": _table(
        identifier__user_id="user_id",
        identifier__user_pseudo_id="user_pseudo_id",
        identifier__device_advertising_id="device.advertising_id",
        ignored="event_bundle_sequence_id|stream_id|app_info.id|app_info.firebase_app_id"
        "|ecommerce.transaction_id"
        "|ga_session_id|batch_page_id|batch_ordering_id|device.vendor_id|items.item_id|items.promotion_id",
        event_time="event_date|event_timestamp",
        non_additive="event_previous_timestamp|event_server_timestamp_offset|user_first_touch_timestamp"
        "|device.time_zone_offset_seconds|device.category|device.operating_system_version|app_info.version"
        "|batch_event_index|device.web_info.browser_version|items.item_category",
        value="event_name|event_value_in_usd|platform|is_active_user|user_ltv.revenue"
        "|user_ltv.currency|device.mobile_brand_name|device.mobile_model_name|device.mobile_marketing_name"
        "|device.mobile_os_hardware_model|device.operating_system|device.language"
        "|device.is_limited_ad_tracking"
        "|device.web_info.browser|device.web_info.hostname|geo.continent|geo.sub_continent|geo.country"
        "|geo.region|geo.city|geo.metro|app_info.install_store|app_info.install_source|traffic_source.name"
        "|traffic_source.medium|traffic_source.source|collected_traffic_source.gclid"
        "|ecommerce.purchase_revenue|ecommerce.purchase_revenue_in_usd|ecommerce.total_item_quantity"
        "|ecommerce.unique_items|ecommerce.tax_value|ecommerce.refund_value|privacy_info.analytics_storage"
        "|privacy_info.ads_storage|engagement_time_msec",
    ),
    "segment_tracks": _table(
        bare_id="id|uuid",
        identifier__anonymous_id="anonymous_id",
        identifier__user_id="user_id",
        identifier__email="context_traits_email",
        identifier__device_id="context_device_id",
        identifier__device_advertising_id="context_device_advertising_id",
        ignored="message_id|context_group_id|context_session_id",
        event_time="timestamp|original_timestamp|received_at|sent_at",
        non_additive="uuid_ts|context_library_version|context_os_version|context_app_version"
        "|context_device_type"
        "|context_timezone|version|loaded_at",
        value="event|event_text|context_ip|context_library_name|context_page_path|context_page_referrer"
        "|context_page_search|context_page_title|context_page_url|context_user_agent|context_locale"
        "|context_campaign_name|context_campaign_source|context_campaign_medium|context_app_name"
        "|context_device_model|context_device_manufacturer|context_network_carrier|context_network_wifi"
        "|context_os_name|context_screen_height|context_screen_width|context_screen_density",
    ),
    "segment_messages": _table(
        identifier__anonymous_id="anonymousId",
        identifier__user_id="userId",
        identifier__email="traits.email|properties.email",
        identifier__phone="traits.phone",
        ignored="messageId|context.groupId|properties.order_id|properties.checkout_id"
        "|properties.products.sku",
        event_time="timestamp|originalTimestamp|receivedAt|sentAt",
        non_additive="type|version|traits.age|traits.birthday|context.library.version|context.timezone"
        "|properties.category",
        value="channel|event|context.ip|context.userAgent|context.locale|context.library.name"
        "|context.page.url"
        "|context.page.title|context.campaign.name|traits.firstName|traits.lastName|traits.name|traits.plan"
        "|properties.total|properties.revenue|properties.shipping|properties.tax|properties.coupon"
        "|properties.currency|properties.quantity",
    ),
    "mailchimp_audience_export": _table(
        identifier__email="Email Address",
        identifier__phone="Phone Number|SMS Phone Number",
        identifier__leid="LEID",
        identifier__euid="EUID",
        event_time="OPTIN_TIME|LAST_CHANGED",
        non_additive="Birthday|MEMBER_RATING|LATITUDE|LONGITUDE|GMTOFF|DSTOFF|TIMEZONE",
        value="First Name|Last Name|Address|OPTIN_IP|CONFIRM_TIME|CONFIRM_IP|CC|REGION|NOTES|TAGS",
    ),
    "intercom_contacts": _table(
        bare_id="id|external_id",
        identifier__email="email",
        identifier__phone="phone",
        ignored="workspace_id|owner_id",
        event_time="created_at|updated_at|signed_up_at|last_seen_at",
        non_additive="type|last_contacted_at|last_replied_at|last_email_opened_at|last_email_clicked_at"
        "|browser_version|android_last_seen_at|android_os_version|ios_last_seen_at|location.country_code"
        "|location.continent_code",
        value="role|email_domain|name|avatar|has_hard_bounced|marked_email_as_spam|unsubscribed_from_emails"
        "|language_override|browser|browser_language|os|location.country|location.region|location.city"
        "|android_app_name|android_device|ios_app_name|ios_device|session_count|monthly_spend|utm_campaign"
        "|referrer",
    ),
}
