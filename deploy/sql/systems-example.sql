-- What the quick start has to try the systems with: one company, and one template of 30 images.
INSERT IGNORE INTO builder.company (sn) VALUES (12);
INSERT IGNORE INTO builder.template (sn, name) VALUES (7, 'Spring sale');
INSERT IGNORE INTO builder.template_image (sn, template_sn, image_key)
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30)
  SELECT i, 7, CONCAT('templates/7/', i, '.png') FROM n;
